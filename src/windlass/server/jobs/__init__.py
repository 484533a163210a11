"""What tasks do. A job is an async function that is given a JobContext and answers an Outcome."""
