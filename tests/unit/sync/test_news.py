"""The bell of a project is heard by those that look at the record before they wait for it."""

import asyncio

from activities.sync.hot import NoHotStore
from api.sync.news import ProjectNews, heard


def test_a_bell_between_a_look_and_the_wait_behind_it_is_heard() -> None:
    async def story() -> None:
        news = ProjectNews(NoHotStore())
        async with news.listening("main", "p") as rung, news.listening("main", "other") as silent:
            news.rang("p")
            assert rung.is_set() and not silent.is_set()
            async with asyncio.timeout(0):  # it waits for nothing
                await heard(rung, 20.0)
            assert not rung.is_set(), "the next wait is for the next bell"
        news.rang("p")
        assert not rung.is_set(), "who waits no more is forgotten"

    asyncio.run(story())
