"""Manage the silos' own databases with the configuration that Sentry reads.

Sentry's own Python runs this as `python -c THIS TASK`. TASK is JSON: the verb (look, create or drop), the path of
sentry.conf.py, the instance, the silos with the suffixes of their databases' names, and the part of the region config
that gives a silo its own database. The output is one line of JSON for each silo.
"""
import hashlib
import json
import os
import sys

# The connection OPTIONS that are for Django and not for the driver (django/db/backends/postgresql/base.py).
DJANGO = ("isolation_level", "assume_role", "pool", "server_side_binding")


def load(path):
    """Return the configuration as a settings module, without a silo's own database."""
    os.environ.pop("SILO_DATABASE", None)
    settings = {"__name__": "temp_config", "__file__": path}
    with open(path, "rb") as source:
        exec(compile(source.read(), path, "exec"), settings)
    return settings


def own(settings, text, suffix):
    """Return a silo's own connection, and the name of the shared database."""
    os.environ["SILO_DATABASE"] = suffix
    settings = {**settings, "os": os}
    exec(compile("if True:" + text, "region config", "exec"), settings)
    database = settings["DATABASES"]["default"]
    if "postgres" not in database.get("ENGINE", ""):
        raise ValueError("DATABASES['default'] is not PostgreSQL: its ENGINE is %r" % database.get("ENGINE"))
    return database, settings["_shared"]


def connect(database, name):
    try:
        import psycopg2 as driver
    except ImportError:
        import psycopg as driver
    options = {k: v for k, v in (database.get("OPTIONS") or {}).items() if k not in DJANGO}
    given = {
        "user": database.get("USER"),
        "password": database.get("PASSWORD"),
        "host": database.get("HOST"),
        "port": database.get("PORT"),
    }
    options = {"connect_timeout": 5, **options, **{k: str(v) for k, v in given.items() if v}}
    connection = driver.connect(dbname=name, **options)
    connection.autocommit = True  # CREATE DATABASE and DROP DATABASE cannot run in a transaction
    return connection


def connect_any(database, names):
    """Connect to the first of the databases that accepts this user."""
    for name in names[:-1]:
        try:
            return connect(database, name)
        except Exception as e:
            if "does not exist" not in str(e) and "permission denied" not in str(e) and "pg_hba.conf" not in str(e):
                raise
    return connect(database, names[-1])


def run(connection, statement, *values):
    cursor = connection.cursor()
    try:
        cursor.execute(statement, values or None)
        return cursor.fetchone() if cursor.description else None
    finally:
        cursor.close()


def identifier(name):
    if "\0" in name:
        raise ValueError("the database name %r contains a NUL character" % name)
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def mark_of(connection, name):
    """Return the comment on a database, empty if it has none; None if the database does not exist."""
    row = run(connection, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", name)
    return None if row is None else row[0] or ""


def migrated(database):
    connection = connect(database, database["NAME"])
    try:
        return run(connection, "SELECT to_regclass('django_migrations')")[0] is not None
    finally:
        connection.close()


def unfinished(mark):
    """Return the temporary name of a database that is being created."""
    return "silo_new_" + hashlib.sha256(mark.encode()).hexdigest()[:16]


def look(connection, database, mark):
    found = mark_of(connection, database["NAME"])
    return {
        "exists": found is not None,
        "mark": found or "",
        "ours": found == mark,
        "migrated": found is not None and migrated(database),
    }


def create(connection, database, mark):
    name, new = database["NAME"], unfinished(mark)
    found = mark_of(connection, name)
    if found is not None:
        return {"result": "present", "exists": True, "mark": found, "ours": found == mark}
    run(connection, "DROP DATABASE IF EXISTS " + identifier(new))
    encoding = run(connection, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template1'")
    template = "" if encoding and encoding[0] == "UTF8" else " TEMPLATE template0"
    run(connection, "CREATE DATABASE " + identifier(new) + " ENCODING 'UTF8'" + template)
    try:
        # The database gets its name after its comment, so that an interruption never leaves one without the comment.
        run(connection, "COMMENT ON DATABASE " + identifier(new) + " IS " + literal(mark))
        inside = connect(database, new)
        try:
            run(inside, "CREATE EXTENSION IF NOT EXISTS citext")
        finally:
            inside.close()
        run(connection, "ALTER DATABASE " + identifier(new) + " RENAME TO " + identifier(name))
    except BaseException:
        run(connection, "DROP DATABASE IF EXISTS " + identifier(new))
        raise
    return {"result": "created", "exists": True, "mark": mark, "ours": True}


def drop(connection, database, mark):
    name = database["NAME"]
    run(connection, "DROP DATABASE IF EXISTS " + identifier(unfinished(mark)))
    found = mark_of(connection, name)
    if found is None:
        return {"result": "absent"}
    if found != mark:
        raise ValueError("silo did not create it" if not found.startswith("silo ") else "another instance has it (%s)" % found)
    run(connection, "DROP DATABASE " + identifier(name))
    return {"result": "dropped"}


def upgrade():
    """Return the flags of `sentry upgrade`. From 23.6.2 on, only a monolith gets Sentry's internal project."""
    import sentry

    with open(os.path.join(os.path.dirname(sentry.__file__), "signals.py")) as source:
        return ["--noinput", *(["--no-post-upgrade"] if "post_upgrade" in source.read() else [])]


def process(task, settings, silo, suffix):
    state = {"silo": silo}
    try:
        database, shared = own(settings, task["text"], suffix)
        state["name"] = database["NAME"]
        if database["NAME"] == shared:
            raise ValueError("it would be the shared database")
        connection = connect_any(database, ["postgres", shared, "template1"])
        try:
            mark = "silo %s %s" % (task["instance"], silo)
            state.update({"look": look, "create": create, "drop": drop}[task["verb"]](connection, database, mark))
        finally:
            connection.close()
    except Exception as e:
        state["error"] = str(e).strip() or type(e).__name__
    return state


def main():
    if sys.path and sys.path[0] == "":
        del sys.path[0]  # the sentry program does not import from the working directory either
    task = json.loads(sys.argv[1])
    # The configuration's output goes to stderr.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    flags = upgrade()
    settings = load(task["conf"])
    for silo, suffix in task["silos"].items():
        print(json.dumps({"upgrade": flags, **process(task, settings, silo, suffix)}), file=output, flush=True)


if __name__ == "__main__":
    main()
