import threading
import time
import pytest, httpx
from tests.e2e.test_pause import sleeper, Sleeper  # noqa
pytestmark = pytest.mark.e2e

@pytest.mark.parametrize("round", range(20))
def test_many(sleeper: Sleeper, round: int) -> None:
    sleeper.paused()
    before = len(sleeper.activities("environment.resume"))
    out = []
    def visit(number: int) -> None:
        hist = []
        t = time.time()
        try:
            with sleeper.client() as visitor:
                if number % 10:
                    a = visitor.get(sleeper.ground.url)
                    ok = a.text == f"{sleeper.ground.branch} {sleeper.ground.number}"
                else:
                    a = visitor.post(sleeper.ground.url, content=b"x" * 100_000)
                    ok = a.text == "x" * 100_000
                hist = [(h.status_code, h.request.method) for h in a.history] + [(a.status_code, a.request.method, str(a.url))]
                if not ok:
                    out.append((number, time.time() - t, hist, a.headers, a.text[:300]))
        except Exception as e:
            out.append((number, time.time() - t, repr(e)))
    threads = [threading.Thread(target=visit, args=(n,)) for n in range(100)]
    t0 = time.time()
    for t in threads: t.start()
    for t in threads: t.join()
    print("ROUND", round, time.time() - t0, len(out), sleeper.activities("environment.resume")[before:])
    for o in out: print("BAD", o)
    if out:
        import subprocess
        h = sleeper.ground.instance.home
        print(subprocess.run(f"tail -n 30 {h}/log/edge*.log {h}/log/web*.log; ls {h}/log; find {h}/environments -name '*.log' -path '*logs*' | grep -i -E 'nginx|error' | xargs tail -n 30", shell=True, capture_output=True, text=True).stdout)
    assert not out
    assert len(sleeper.activities("environment.resume")) == before + 1
