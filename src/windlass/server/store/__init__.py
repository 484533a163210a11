"""PostgreSQL: the only folder that speaks SQL and the only one that knows the database's driver."""
