"""The client where processes fork, spawn, reload, and end: nothing hangs, nothing is lost that need not be."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from client_servers import SOURCE, free_port, run_script, until

HEAD = """
import os, sys
from modelwatch_client import Client
client = Client(sys.argv[1], model_name="m", flush_interval=0.02)
"""
# On a busy machine it takes longer than the usual two seconds to load what is sent with.
PATIENT = HEAD.replace("flush_interval=0.02", "flush_interval=0.02, exit_seconds=30")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")


def ids(told):
    return sorted(row["prediction_id"] for row in told.rows)


def test_importing_costs_little_and_starts_nothing():
    found = run_script(
        "import sys, threading, time; began = time.perf_counter(); import modelwatch_client;"
        "from modelwatch_client import Client;"
        "Client('http://127.0.0.1:1', model_name='m'); took = time.perf_counter() - began;"
        "print(threading.active_count(), [m for m in ('httpx', 'numpy', 'pandas', 'asyncio') if m in sys.modules])"
    )
    assert found.strip() == "1 []"


def test_the_end_of_the_interpreter_sends_what_is_queued(told):
    run_script(PATIENT + "client.log({'a': 1}, 1, prediction_id='last')", told.url)
    assert ids(told) == ["last"]


def test_an_exception_at_the_end_still_sends(told):
    run_script(PATIENT + "client.log({}, 1, prediction_id='last'); raise SystemExit(3)", told.url, expect=3)
    assert ids(told) == ["last"]


@pytest.mark.parametrize("how", ["nobody there", "it hangs"])
def test_the_end_of_the_interpreter_waits_two_seconds_at_most_for_a_dead_server(told, how):
    told.hang.set()
    url = told.url if how == "it hangs" else f"http://127.0.0.1:{free_port()}"
    took = run_script(
        HEAD + "import atexit, time\n"
        "for _ in range(3): Client(sys.argv[1], model_name='n').log({}, 1)\n"
        "client.log({}, 1); time.sleep(.3)\n"
        "began = time.monotonic()\n"
        # Registered first, so run last: after the clients' ends.
        "import weakref; print('', end='')\n"
        "class End:\n"
        "    def __del__(self): os.write(1, str(time.monotonic() - began).encode())\n"
        "end = End()\n",
        url,
    )
    # One after the other the four clients would take eight.
    assert float(took) < 5


@needs_fork
def test_fork_before_first_use(told):
    run_script(
        HEAD + "child = os.fork()\n"
        "client.log({}, 1, prediction_id='child' if child == 0 else 'parent')\n"
        "assert client.flush(20)\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n",
        told.url,
    )
    assert ids(told) == ["child", "parent"]


@needs_fork
def test_fork_after_first_use(told):
    run_script(
        HEAD + "for n in range(200): client.log({}, 1, prediction_id=f'before{n}')\n"
        "children = []\n"
        "for c in range(4):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        assert client.stats.logged == 0\n"
        "        client.log({}, 1, prediction_id=f'child{c}'); assert client.flush(20); os._exit(0)\n"
        "    children.append(child)\n"
        "client.log({}, 1, prediction_id='parent'); assert client.flush(20)\n"
        "assert all(os.waitpid(child, 0)[1] == 0 for child in children)\n",
        told.url,
    )
    assert ids(told) == sorted([f"before{n}" for n in range(200)] + [f"child{c}" for c in range(4)] + ["parent"])


@needs_fork
def test_fork_while_others_log_never_deadlocks(told):
    run_script(
        HEAD + "import threading\n"
        "stop = threading.Event()\n"
        "def busy():\n"
        "    while not stop.is_set():\n"
        "        for _ in range(20): client.log({'a': 1}, 1)\n"
        "        stop.wait(.001)\n"
        "threads = [threading.Thread(target=busy) for _ in range(3)]\n"
        "for t in threads: t.start()\n"
        "for c in range(20):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        client.log({}, 1, prediction_id=f'child{c}'); os._exit(0 if client.flush(20) else 9)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "stop.set()\n"
        "for t in threads: t.join()\n",
        told.url,
    )
    assert {f"child{c}" for c in range(20)} <= set(ids(told))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_send_before_they_end(told, method, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import sys, multiprocessing\n"
        "from modelwatch_client import Client\n"
        # A child of a busy machine needs longer than the usual two seconds to load what it sends with.
        "client = Client(None, model_name='m', flush_interval=60, exit_seconds=30)\n"
        "def work(n): client.log({}, 1, prediction_id=f'child{n}')\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    children = [context.Process(target=work, args=(n,)) for n in range(3)]\n"
        "    for child in children: child.start()\n"
        "    for child in children: child.join(); assert child.exitcode == 0\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "MODELWATCH_URL": told.url}
    subprocess.run([sys.executable, str(script)], env=environment, check=True, timeout=60)
    assert ids(told) == ["child0", "child1", "child2"]


def test_exit_without_cleaning_up_loses_only_what_was_not_flushed(told):
    run_script(
        HEAD + "client.log({}, 1, prediction_id='flushed'); assert client.flush(20)\n"
        "client.log({}, 1, prediction_id='not'); os._exit(0)",
        told.url,
    )
    assert "flushed" in ids(told)


def test_exit_without_cleaning_up_loses_nothing_with_a_spool_directory(told, tmp_path):
    head = HEAD.replace("flush_interval=0.02", "flush_interval=0.02, spool_dir=sys.argv[2]")
    run_script(head + "client.log({}, 1, prediction_id='first'); os._exit(0)", told.url, str(tmp_path))
    run_script(head + "client.log({}, 1, prediction_id='second'); assert client.flush(20)", told.url, str(tmp_path))
    assert set(ids(told)) == {"first", "second"}
    assert list(tmp_path.iterdir()) == []


def test_threads_of_gevent(told):
    pytest.importorskip("gevent")
    run_script(
        "from gevent import monkey; monkey.patch_all()\nimport gevent\n"
        + HEAD
        + "jobs = [gevent.spawn(lambda n=n: [client.log({}, 1, prediction_id=f'{n}-{i}') for i in range(50)])"
        " for n in range(10)]\n"
        "gevent.joinall(jobs); assert client.flush(20)\n"
        "client.log({}, 1, prediction_id='last')",
        told.url,
    )
    assert len(ids(told)) == 501


APPLICATION = """
import os, sys
from modelwatch_client import Client
client = Client(model_name="m", flush_interval=0.02)
client.log({}, 1, prediction_id=f"import-{os.getpid()}")

def app(environ, start_response):
    client.log({}, 1, prediction_id=environ["PATH_INFO"][1:])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        client.log({}, 1, prediction_id=scope["path"][1:])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def end(process):
    """Ends a server in order. With gevent a worker of gunicorn can miss the first signal, also without the client."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)
            return
        except subprocess.TimeoutExpired:
            for child in children_of(process.pid):
                os.kill(child, signal.SIGTERM)
    process.kill()
    process.wait()
    raise AssertionError("The server did not end.")


def children_of(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(each) for each in found.split()]


@pytest.fixture
def serve(told, tmp_path):
    """Starts a server with the application above, and ends it in order."""
    (tmp_path / "application.py").write_text(APPLICATION)
    running = []

    def start(*command):
        port = free_port()
        environment = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{tmp_path}", "MODELWATCH_URL": told.url}
        arguments = [each.replace("PORT", str(port)) for each in command]
        process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=tmp_path, env=environment)
        running.append(process)

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
                    return answer.read().decode()
            except OSError:
                return None

        until(lambda: ask("ready"))
        return ask, process

    yield start
    for process in running:
        end(process)


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_gunicorn_with_preload(told, serve, kind):
    pytest.importorskip("gunicorn")
    if kind == "gevent":
        pytest.importorskip("gevent")
    options = ["--preload", "--workers", "2", "--worker-class", kind, "--bind", "127.0.0.1:PORT"]
    ask, process = serve("gunicorn", *options, "application:app")
    workers = {ask(f"request-{number}") for number in range(40)}
    assert process.pid not in map(int, workers)
    end(process)
    found = ids(told)
    assert {f"request-{number}" for number in range(40)} <= set(found)
    # What was logged when the application was loaded is the parent's, and sent by it alone.
    assert sum(each.startswith("import-") for each in found) == 1
    assert len(found) == len(set(found))


def test_uvicorn_with_reload(told, serve, tmp_path):
    pytest.importorskip("uvicorn")
    ask, process = serve("uvicorn", "--reload", "--port", "PORT", "--log-level", "warning", "application:asgi")
    first = ask("before")
    time.sleep(1.1)  # A file's time of change is told apart by the second on some file systems.
    (tmp_path / "application.py").write_text(APPLICATION + "\n# changed\n")
    until(lambda: (ask("after") or first) != first)
    end(process)
    assert {"before", "after"} <= set(ids(told))


def test_the_decorator_logs_and_gives_back_what_it_got(told):
    from dataclasses import dataclass

    from modelwatch_client import Client

    @dataclass
    class Order:
        amount: float

    with Client(told.url, model_name="m", flush_interval=0.02) as client:

        @client.watch
        def predict(order):
            return ("yes", 0.75)

        @client.watch(features=lambda amount: {"amount": amount}, result=lambda answer: answer["label"])
        async def predict_later(amount):
            return {"label": "no"}

        @client.watch
        def fails(order):
            raise KeyError("mine")

        import asyncio

        assert predict(Order(1.5)) == ("yes", 0.75)
        assert predict({"amount": 2}) == ("yes", 0.75)
        assert asyncio.run(predict_later(3)) == {"label": "no"}
        with pytest.raises(KeyError, match="mine"):
            fails(Order(1))
    first, second, third = told.rows
    assert (first["features"], first["prediction"], first["prediction_probability"]) == ({"amount": 1.5}, "yes", 0.75)
    assert first["latency_ms"] >= 0
    assert second["features"] == {"amount": 2}
    assert (third["features"], third["prediction"]) == ({"amount": 3}, "no")


def test_the_middleware_logs_what_was_asked_and_answered(told):
    import asyncio

    from modelwatch_client import Client
    from modelwatch_client.asgi import Middleware

    async def app(scope, receive, send):
        body = json.loads((await receive())["body"])
        status = 200 if body.get("ok", True) else 422
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b'{"prediction": "yes",', "more_body": True})
        await send({"type": "http.response.body", "body": b' "prediction_probability": 0.5}'})

    async def ask(middleware, path, body):
        sent = []

        async def receive():
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message):
            sent.append(message)

        await middleware({"type": "http", "method": "POST", "path": path}, receive, send)
        return b"".join(message.get("body", b"") for message in sent)

    with Client(told.url, model_name="m", flush_interval=0.02) as client:
        middleware = Middleware(app, client=client, paths=["/predict"])
        answer = asyncio.run(ask(middleware, "/predict", {"features": {"a": 1}}))
        assert json.loads(answer) == {"prediction": "yes", "prediction_probability": 0.5}
        asyncio.run(ask(middleware, "/other", {"a": 2}))
        asyncio.run(ask(middleware, "/predict", {"a": 3, "ok": False}))
        asyncio.run(ask(middleware, "/predict", {"a": "x" * 2_000_000}))
        client.flush()
        assert client.stats.rejected == 1
    (row,) = told.rows
    assert (row["features"], row["prediction"], row["prediction_probability"]) == ({"a": 1}, "yes", 0.5)


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed.")
def test_an_estimator_of_scikit_learn(told):
    import numpy as np
    from modelwatch_client import Client
    from modelwatch_client.sklearn import watch
    from sklearn.linear_model import LogisticRegression

    X, y = np.array([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1], [0.1, 0.8]]), np.array(["no", "yes", "yes", "no"])
    with Client(told.url, model_name="m", flush_interval=0.02) as client:
        model = watch(LogisticRegression().fit(X, y), client)
        assert list(model.predict(X)) == list(y)
        assert model.predict_proba(X[:1]).shape == (1, 2)
        assert list(model.classes_) == ["no", "yes"]
    assert told.rows[0]["features"] == {"feature_0": 0.0, "feature_1": 1.0}
    assert [row["prediction"] for row in told.rows] == ["no", "yes", "yes", "no", "no"]
    assert set(told.rows[4]["prediction_probability"]) == {"no", "yes"}


def test_coroutines_of_the_async_client(told):
    import asyncio

    from modelwatch_client import AsyncClient, Unreachable

    async def main():
        async with AsyncClient(told.url, model_name="m", flush_interval=0.02) as client:
            client.log({"a": 1}, 1, prediction_id="one")
            await client.log_batch({"a": [2], "prediction": [1], "prediction_id": ["two"]})
            assert await client.flush(10)
            assert client.stats.sent == 2
        with pytest.raises(Unreachable):
            await AsyncClient(f"http://127.0.0.1:{free_port()}", model_name="m").check_drift()

    asyncio.run(main())
    assert ids(told) == ["one", "two"]
