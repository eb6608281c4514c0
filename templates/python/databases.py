"""Manage the silos' databases with the configuration that Sentry reads.

Sentry's own Python runs this as `python -c THIS TASK`. TASK is JSON: the verb, the path of sentry.conf.py, the instance,
the silos with the suffixes of their databases' names (empty if they share one), the part of the region config that gives
a silo its own database, and what the verb needs. The output is one line of JSON for each silo.
"""
import hashlib
import importlib.util
import json
import os
import sys

# The tables of control with the region of an organization. The mapping routes requests to the organization. A slug
# reservation names the region that hears of its next change (OrganizationSlugReservation.outbox_region_names, from
# Sentry 23.11 on). Their column is region_name in every release.
MAPPINGS, RESERVATIONS = "sentry_organizationmapping", "sentry_organizationslugreservation"

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
    """Return a silo's connection, and the name of the shared database. Without a suffix both are the same."""
    if suffix:
        os.environ["SILO_DATABASE"] = suffix
        settings = {**settings, "os": os}
        exec(compile("if True:" + text, "region config", "exec"), settings)
        shared = settings["_shared"]
    else:
        import sentry.conf.server

        settings = {"DATABASES": settings.get("DATABASES") or sentry.conf.server.DATABASES}
        shared = settings["DATABASES"]["default"]["NAME"]
    database = settings["DATABASES"]["default"]
    if "postgres" not in database.get("ENGINE", ""):
        raise ValueError("DATABASES['default'] is not PostgreSQL: its ENGINE is %r" % database.get("ENGINE"))
    return database, shared


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


def every(connection, statement, *values):
    cursor = connection.cursor()
    try:
        cursor.execute(statement, values or None)
        return cursor.fetchall()
    finally:
        cursor.close()


def exists(connection, table):
    return run(connection, "SELECT to_regclass(%s)", table)[0] is not None


def files(app):
    """Return the names of an application's migrations, by the source of its package."""
    parts = app.split(".")
    try:
        spec = importlib.util.find_spec(parts[0])
    except ImportError:
        spec = None
    for folder in (spec and spec.submodule_search_locations) or ():
        folder = os.path.join(folder, *parts[1:], "migrations")
        if os.path.isdir(folder):
            return [name[:-3] for name in os.listdir(folder) if name[:4].isdigit() and name.endswith(".py")]
    return []


def pending(connection, settings):
    """Count the migrations that are newer than the newest one that was applied to their application."""
    import sentry.conf.server

    applied = {}
    for app, name in every(connection, "SELECT app, name FROM django_migrations"):
        applied[app] = max(applied.get(app, ""), name)
    count = 0
    for app in settings.get("INSTALLED_APPS") or sentry.conf.server.INSTALLED_APPS:
        app = app.split(".apps.")[0]
        newest = applied.get(app.split(".")[-1], "")
        count += sum(1 for name in files(app) if name > newest)
    return count


def unmapped(connection, table, regions):
    """Count the rows of a table that name no region of the topology, by that name."""
    if not exists(connection, table):
        return {}
    rows = every(connection, "SELECT region_name, count(*) FROM %s GROUP BY 1 ORDER BY 1" % table)
    return {name: count for name, count in rows if name not in regions}


def inspect(connection, settings, task, silo):
    """Return what only a connection to the database itself can show."""
    run(connection, "SET statement_timeout = '10s'")
    state = {"migrated": exists(connection, "django_migrations")}
    if state["migrated"]:
        state["pending"] = pending(connection, settings)
    if silo == "control" and task["regions"]:
        state["unmapped"] = unmapped(connection, MAPPINGS, task["regions"])
        state["reserved"] = unmapped(connection, RESERVATIONS, task["regions"])
    return state


def unfinished(mark):
    """Return the temporary name of a database that is being created."""
    return "silo_new_" + hashlib.sha256(mark.encode()).hexdigest()[:16]


def inside(database, name, act, *args):
    connection = connect(database, name)
    try:
        return act(connection, *args)
    finally:
        connection.close()


def look(connection, database, mark, settings, task, silo):
    name = database["NAME"]
    found = mark_of(connection, name)
    state = {"exists": found is not None, "mark": found or "", "ours": found == mark}
    if found is not None:
        state["size"] = run(connection, "SELECT pg_database_size(%s)", name)[0]
        state.update(inside(database, name, inspect, settings, task, silo))
    return state


def rewrite(connection, task):
    """Do what Sentry's bin/split-silo-database does for one region name, for each that names no region."""
    run(connection, "SET statement_timeout = '60s'")
    run(connection, "SET lock_timeout = '10s'")
    counts = {}
    run(connection, "BEGIN")
    for key, table in (("unmapped", MAPPINGS), ("reserved", RESERVATIONS)):
        counts[key] = unmapped(connection, table, task["regions"])
        for name in counts[key]:
            run(connection, "UPDATE %s SET region_name = %%s WHERE region_name = %%s" % table, task["to"], name)
    run(connection, "COMMIT")
    return counts


def repair(connection, database, mark, settings, task, silo):
    if silo != "control":
        return {}
    return {"result": "repaired", **inside(database, database["NAME"], rewrite, task)}


def create(connection, database, mark, *_):
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
        inside(database, new, run, "CREATE EXTENSION IF NOT EXISTS citext")
        run(connection, "ALTER DATABASE " + identifier(new) + " RENAME TO " + identifier(name))
    except BaseException:
        run(connection, "DROP DATABASE IF EXISTS " + identifier(new))
        raise
    return {"result": "created", "exists": True, "mark": mark, "ours": True}


def drop(connection, database, mark, *_):
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
        state.update(name=database["NAME"], host=database.get("HOST") or "", port=str(database.get("PORT") or ""))
        if suffix and database["NAME"] == shared:
            raise ValueError("it would be the shared database")
        connection = connect_any(database, ["postgres", shared, "template1"])
        try:
            mark = "silo %s %s" % (task["instance"], silo)
            act = {"look": look, "create": create, "drop": drop, "repair": repair}[task["verb"]]
            state.update(act(connection, database, mark, settings, task, silo))
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
        state = process(task, settings, silo, suffix)
        print(json.dumps({"upgrade": flags, **state}), file=output, flush=True)


if __name__ == "__main__":
    main()
