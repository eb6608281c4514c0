# Prints what getsentry/devservices has started, one line each: service, its modes, and
# started or starting (devservices 1.3.2, utils/state.py). Run with -c; it changes nothing.
import os
import sqlite3
from urllib.parse import quote

path = os.path.expanduser("~/.local/share/sentry-devservices/state")
if os.path.exists(path):
    state = sqlite3.connect("file:" + quote(path) + "?mode=ro", uri=True)
    for condition in ("started", "starting"):
        for service, modes in state.execute("select service_name, mode from %s_services" % condition):
            print(service, modes, condition, sep="\t")
