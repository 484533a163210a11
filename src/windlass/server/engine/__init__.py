"""How tasks run: the queue, the workers and their leases, the jobs' processes, and recovery. Not what they do."""
