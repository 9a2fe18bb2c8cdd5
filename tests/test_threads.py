"""How many threads small work is given, and what that does to others."""

import threading

import pytest
import torch
from threadpoolctl import threadpool_info

from knotwork._threads import one_thread, one_thread_everywhere


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_another_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.usefixtures("two_threads")
def test_small_work_has_one_thread_and_the_number_comes_back():
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with one_thread(small=False):
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_thread_that_begins_during_anothers_small_work_keeps_its_number():
    with one_thread():
        assert in_another_thread(torch.get_num_threads) == 2
    assert in_another_thread(torch.get_num_threads) == 2


@pytest.mark.usefixtures("two_threads")
def test_a_search_that_ends_leaves_numpys_limit_to_those_still_under_way():
    before = blas_threads()

    def search():
        with one_thread_everywhere():
            return blas_threads()

    with one_thread_everywhere():
        assert in_another_thread(search) == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before
