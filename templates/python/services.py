# Connects to the services in Sentry's settings with Sentry's own Python and clients,
# and prints the results as one JSON object. Run with -c; it changes nothing. It must
# run on Python 3.8 (Sentry 22.10) and later. With the argument "text" it does not load the
# settings, but reads them from the text of the files, which takes no time and cannot fail in
# Sentry's code.
import ast
import importlib.util
import json
import os
import platform
import shutil
import sys
import threading
import time
import traceback
import types
from urllib.parse import unquote, urlsplit

TIMEOUT = 3  # seconds for each service

# The output of the configuration goes to stderr.
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
secrets = set()


def hide(text):
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return " ".join(text.split())[:500]


def describe(error):
    return hide("%s: %s" % (type(error).__name__, error))


def keep_secret(value):
    if value:
        secrets.add(str(value))
    return value


class UnknownRelease(Exception):
    """This release loads its settings in a way that is not known here."""


def load():
    """Load the settings as `sentry` does (sentry/runner/settings.py, configure), without
    Django's applications, which would take seconds."""
    try:
        from sentry.runner import importer
        from sentry.runner.settings import discover_configs
    except ImportError as error:
        if (error.name or "").startswith("sentry.runner"):
            raise UnknownRelease(str(error))
        raise
    _, conf, yaml = discover_configs()
    if hasattr(importer, "install"):  # to 24.3
        os.environ["DJANGO_SETTINGS_MODULE"] = "sentry_config"
        importer.install("sentry_config", conf, "sentry.conf.server")
    elif hasattr(importer, "SENTRY_CONF_PY"):  # from 24.4
        os.environ["DJANGO_SETTINGS_MODULE"] = "sentry.runner.default_settings"
        importer.SENTRY_CONF_PY = conf
    else:
        raise UnknownRelease("sentry.runner.importer has neither install nor SENTRY_CONF_PY")
    from django.conf import settings

    settings.DATABASES
    options = dict(getattr(settings, "SENTRY_OPTIONS", None) or {})
    if yaml and os.path.exists(yaml):
        from sentry.utils.yaml import safe_load

        with open(yaml, "rb") as text:
            options.update(safe_load(text) or {})  # initializer.py, bootstrap_options
    return settings, options


def value_of(node, known):
    """Evaluate an expression of literals, known names and environment variables."""
    if isinstance(node, ast.Dict):
        return {value_of(key, known): value_of(value, known) for key, value in zip(node.keys, node.values)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value_of(item, known) for item in node.elts]
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.Subscript) and ast.dump(node.value) == ENVIRON:
        return os.environ[value_of(index_of(node), known)]
    if isinstance(node, ast.Call) and ast.dump(node.func) in GETENV:
        return os.environ.get(*[value_of(argument, known) for argument in node.args])
    return ast.literal_eval(node)


def expression(text):
    return ast.dump(ast.parse(text, mode="eval").body)


ENVIRON = expression("os.environ")
GETENV = (expression("os.environ.get"), expression("os.getenv"))


def index_of(node):
    return node.slice.value if type(node.slice).__name__ == "Index" else node.slice  # Python 3.8


def assign(target, value, known):
    if isinstance(target, ast.Name):
        known[target.id] = value
    elif isinstance(target, ast.Subscript):
        value_of_target(target.value, known)[value_of(index_of(target), known)] = value


def value_of_target(node, known):
    if isinstance(node, ast.Subscript):
        return value_of_target(node.value, known)[value_of(index_of(node), known)]
    return known[node.id]


def name_of(target):
    while isinstance(target, ast.Subscript):
        target = target.value
    return getattr(target, "id", None)


def is_update(statement):
    """Tell whether the statement is dictionary.update(…)."""
    call = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(call, ast.Call) and getattr(call.func, "attr", None) == "update"


def update(call, known):
    try:
        new = {word.arg: value_of(word.value, known) for word in call.keywords}
        for argument in call.args:
            new.update(value_of(argument, known))
        value_of_target(call.func.value, known).update(new)
    except Exception:
        known.pop(name_of(call.func.value), None)


def read_assignments(path, known):
    """Read the unconditional assignments of a Python file, and its dictionary updates. A name is forgotten if its value
    cannot be known without running the file."""
    with open(path, "rb") as source:
        body = ast.parse(source.read()).body
    for statement in body:
        if is_update(statement):
            update(statement.value, known)
            continue
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        else:
            continue
        for target in targets:
            try:
                assign(target, value_of(statement.value, known), known)
            except Exception:
                known.pop(name_of(target), None)


def read():
    """Read the settings from the text of sentry/conf/server.py, the configuration and config.yml."""
    known = {}
    sentry = importlib.util.find_spec("sentry")
    if sentry and sentry.origin:
        try:
            read_assignments(os.path.join(os.path.dirname(sentry.origin), "conf", "server.py"), known)
        except (OSError, SyntaxError):
            pass
    conf, yaml = os.path.expanduser(os.environ.get("SENTRY_CONF", "~/.sentry")), None
    if not conf.endswith((".py", ".conf")) and not os.path.isfile(conf):
        conf, yaml = os.path.join(conf, "sentry.conf.py"), os.path.join(conf, "config.yml")
    read_assignments(conf, known)
    settings = types.SimpleNamespace(**known)
    options = dict(getattr(settings, "SENTRY_OPTIONS", None) or {})
    if yaml and os.path.exists(yaml):
        from yaml import safe_load

        with open(yaml, "rb") as text:
            options.update(safe_load(text) or {})
    return settings, options


def root_of(error):
    """Return the first exception, and where in the configuration it was raised."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    place, inside = None, False
    for frame in traceback.extract_tb(error.__traceback__):
        # importer.py executes the configuration as "<string>". This program is "<string>"
        # too, but each of its frames here is in a function.
        executed = frame.filename == "<string>"
        inside = inside or executed and frame.name == "<module>"
        if executed and inside:
            place = frame.lineno
    if isinstance(error, SyntaxError) and error.filename == "<string>":
        error, place = SyntaxError(error.msg), error.lineno
    return error, place


def database(name, settings):
    """Check one database with a login like Sentry's."""
    found = {
        "name": name, "kind": "postgres",
        "host": settings.get("HOST") or "", "port": int(settings.get("PORT") or 5432),
        "database": settings.get("NAME") or "", "user": settings.get("USER") or "",
    }
    engine = settings.get("ENGINE") or ""
    if "postgres" not in engine:
        found["kind"] = engine
        return found, None
    keep_secret(settings.get("PASSWORD"))

    def ask():
        try:
            import psycopg2 as driver
        except ImportError:
            import psycopg as driver

        wanted = {
            "dbname": found["database"], "user": found["user"], "password": settings.get("PASSWORD"),
            "host": found["host"], "port": settings.get("PORT"), "connect_timeout": TIMEOUT,
        }
        wanted = {key: value for key, value in wanted.items() if value not in ("", None)}
        for key, value in (settings.get("OPTIONS") or {}).items():
            if key.startswith("ssl") or key in ("options", "service", "passfile", "target_session_attrs"):
                wanted[key] = value
        connection = driver.connect(**wanted)
        try:
            cursor = connection.cursor()
            cursor.execute("show server_version")
            found["version"] = cursor.fetchone()[0].split()[0]
            cursor.execute("select to_regclass('django_migrations') is not null")
            found["migrated"] = bool(cursor.fetchone()[0])
            if found["migrated"]:
                cursor.execute("select name from django_migrations where app = 'sentry'")
                found["behind"] = behind({row[0] for row in cursor.fetchall()})
        finally:
            connection.close()

    return found, ask


def behind(applied):
    """Count Sentry's own migrations that are newer than the newest applied one."""
    spec = importlib.util.find_spec("sentry")
    directory = os.path.join(os.path.dirname(spec.origin), "migrations")
    migrations = sorted(name[:-3] for name in os.listdir(directory) if name[:4].isdigit() and name.endswith(".py"))
    newest = max(applied, default="")
    if migrations and migrations[-1] in applied:
        return 0
    return sum(1 for name in migrations if name > newest)


def clusters_in_use(settings):
    """Return the Redis clusters that a setting names: FOO_CLUSTER, or cluster in FOO_OPTIONS."""
    used = {"default"}
    for key in filter(str.isupper, dir(settings)):
        value = getattr(settings, key, None)
        if key.endswith("_CLUSTER") and isinstance(value, str):
            used.add(value)
        elif isinstance(value, dict) and isinstance(value.get("cluster"), str):
            used.add(value["cluster"])
    return used


def redis_host(name, settings, used, whole):
    found = {
        "used": used, "whole": whole,
        "name": name, "kind": "redis", "host": settings.get("unix_socket_path") or settings.get("host") or "localhost",
        "port": 0 if settings.get("unix_socket_path") else int(settings.get("port") or 6379),
        "database": str(settings.get("db") or 0), "user": settings.get("username") or "",
    }
    keep_secret(settings.get("password"))
    wanted = {
        key: settings[key]
        for key in ("host", "port", "db", "username", "password", "unix_socket_path", "ssl", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
        if key in settings
    }

    def ask():
        import redis

        client = redis.StrictRedis(socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, **wanted)
        client.ping()
        found["version"] = client.info("server").get("redis_version")

    return found, ask


def broker(address):
    parts = urlsplit(str(address))
    keep_secret(parts.password)
    keep_secret(unquote(parts.password or ""))
    kind = parts.scheme.split("+")[0]
    ports = {"redis": 6379, "rediss": 6379, "amqp": 5672, "pyamqp": 5672, "amqps": 5671}
    found = {
        "name": "broker", "kind": kind, "host": parts.hostname or "localhost",
        "port": parts.port or ports.get(kind, 0), "database": parts.path.strip("/"), "user": parts.username or "",
    }

    def ask():
        if kind in ("redis", "rediss"):
            import redis

            redis.StrictRedis.from_url(str(address), socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT).ping()
        elif found["port"]:
            import socket

            socket.create_connection((found["host"], found["port"]), TIMEOUT).close()

    return found, ask


def redis_hosts(settings, options):
    used = clusters_in_use(settings)
    clusters = options.get("redis.clusters") or {"default": {"hosts": {0: {"host": "127.0.0.1", "port": 6379}}}}
    for name, cluster in clusters.items():
        hosts = (cluster or {}).get("hosts") or {}
        for host in hosts.values() if isinstance(hosts, dict) else hosts:
            yield redis_host(name, dict(host or {}), name in used, bool((cluster or {}).get("is_redis_cluster")))


def brokers(settings):
    address = getattr(settings, "BROKER_URL", None) or getattr(settings, "CELERY_BROKER_URL", None)
    for one in address if isinstance(address, (list, tuple)) else [address]:
        if one and not str(one).startswith("memory:"):
            yield broker(one)


def timed(found, ask):
    start = time.time()
    try:
        ask()
    except BaseException as error:
        found["error"] = describe(error)
    found["seconds"] = round(time.time() - start, 3)


def services_of(settings, options):
    every = [database(name, one) for name, one in (getattr(settings, "DATABASES", None) or {}).items()]
    watchers = [(one[0], one[1][0]) for one in getattr(settings, "SENTRY_WATCHERS", None) or ()]
    return every, list(redis_hosts(settings, options)), list(brokers(settings)), watchers


def examine(from_text):
    report = {"python": platform.python_version(), "honcho": importlib.util.find_spec("honcho") is not None}
    start = time.time()
    try:
        if not from_text:
            every, hosts, queues, watchers = services_of(*load())
    except UnknownRelease as error:
        from_text = True
        report["unknown"] = hide(str(error))
    except BaseException as error:  # also SystemExit: the configuration can raise anything
        from_text = True
        first, line = root_of(error)
        report.update(error=describe(first), line=line)
    try:
        if from_text:
            every, hosts, queues, watchers = services_of(*read())
            report["text"] = True
    except Exception as error:
        report["unreadable"] = describe(error)
        return report
    report["seconds"] = round(time.time() - start, 3)
    threads = [threading.Thread(target=timed, args=one, daemon=True) for one in every + hosts + queues if one[1]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT + 1)
    for found, ask in every + hosts + queues:
        if ask and "seconds" not in found:
            found["error"] = "TimeoutError: no answer within %d s" % (TIMEOUT + 1)
    report.update(
        databases=[one for one, _ in every], redis=[one for one, _ in hosts], brokers=[one for one, _ in queues],
        watchers=[{"name": name, "program": program, "there": bool(shutil.which(program))} for name, program in watchers],
        node=shutil.which("node") or "",
    )
    return report


if sys.path and sys.path[0] == "":
    sys.path.pop(0)  # Sentry does not import from the working directory either
json.dump(examine(sys.argv[1:] == ["text"]), answer, default=str)
answer.flush()
os._exit(0)
