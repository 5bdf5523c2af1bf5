"""Makes the Secret of the bundled database with a password of its own, unless it is there. Runs in a pod, once."""

import json
import os
import secrets
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount"))
PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "120"))
PAUSE_SECONDS = 1.0
name, host, namespace = (os.environ[key] for key in ("SECRET_NAME", "DATABASE_HOST", "NAMESPACE"))

# Only letters and digits, so that it needs no escaping in the URL.
password = secrets.token_hex(24)
body = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": name, "labels": json.loads(os.environ["SECRET_LABELS"])},
    "type": "Opaque",
    "stringData": {
        "POSTGRES_PASSWORD": password,
        "DATABASE_URL": f"postgresql://modelwatch:{password}@{host}:5432/modelwatch",
    },
}
server, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(
    f"https://{f'[{server}]' if ':' in server else server}:{port}/api/v1/namespaces/{namespace}/secrets",
    data=json.dumps(body).encode(),
    headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"},
)
# The cluster's own certificate, and no proxy: this never leaves the cluster.
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}),
    urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))),
)
deadline = time.monotonic() + PATIENCE_SECONDS
while True:
    try:
        opener.open(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        reason = f"{error.code} {error.reason}"
        if error.code == 409:
            print(f"The Secret {name} is there already, and stays as it is.")
            break
        if error.code < 500 and error.code != 429:
            sys.exit(f"The Secret {name} was refused: {reason}. {error.read(500).decode(errors='replace')}")
    except OSError as error:
        reason = str(error)
    else:
        print(f"The Secret {name} was made.")
        break
    if time.monotonic() > deadline:
        sys.exit(f"The Secret {name} could not be made within {PATIENCE_SECONDS:g} s: {reason}")
    time.sleep(PAUSE_SECONDS)
