"""Who computes is chosen per context: a thread's own choice is nobody else's."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from tests.support.places import ROOT


@pytest.fixture(autouse=True)
def restored():
    before = fast.choice()
    yield
    fast.use(before)


def in_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_block_in_one_thread_leaves_others_alone():
    inside, done, seen = threading.Event(), threading.Event(), []

    def other():
        with fast.using("torch"):
            inside.set()
            done.wait(10)
            seen.append(fast.choice())

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10) and fast.choice() == "auto"
    with fast.using("auto"):
        done.set()
        thread.join()
    assert seen == ["torch"] and fast.choice() == "auto"


def test_the_choice_for_the_process_holds_in_threads():
    fast.use("torch")
    assert in_a_thread(fast.choice) == "torch"
    assert in_a_thread(fast.description) == "torch"


def test_blocks_nest_and_end_with_an_error():
    with pytest.raises(ZeroDivisionError), fast.using("torch"):
        with fast.using("auto"):
            assert fast.choice() == "auto"
            fast.use("torch")  # within a block: here and for the process
            assert fast.choice() == "torch"
        assert fast.choice() == "torch"
        fast.use("auto")
        raise ZeroDivisionError
    assert fast.choice() == "auto"
    with pytest.raises(ConfigError, match="expected one of auto, torch, found 'quick'"):
        fast.using("quick").__enter__()


@pytest.mark.slow
def test_children_begin_as_the_environment_says():
    code = "from l2hmc_bridge import fast; print(fast.choice())"
    for value, expected in (("off", "torch"), ("auto", "auto")):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True,
                              capture_output=True, env={"L2HMC_BRIDGE_FAST": value})
        assert done.stdout.strip() == expected, done.stderr
