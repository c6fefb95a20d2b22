import psycopg
from site_app import dsn

with psycopg.connect(dsn()) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS deploys (id serial PRIMARY KEY, at timestamptz DEFAULT now())")
    connection.execute("INSERT INTO deploys DEFAULT VALUES")
