"""How the spider behaves: Scrapy's settings.

Scrapy waits 180 seconds for a page, takes one of up to 1 GiB, and follows links without end.
A guest of a small site should know better.
"""

from urllib.parse import urlsplit

from starwise.collect.journal import key_of
from starwise.collect.orders import Orders

TRIES_MORE = 4
TIMEOUT_SECONDS = 10
LARGEST_PAGE_BYTES = 10_000_000


def settings_for(orders: Orders) -> dict[str, object]:
    """Return Scrapy's settings for one crawl: brisk on this machine, gentle anywhere else."""
    shared = {
        "USER_AGENT": orders.user_agent,
        "ROBOTSTXT_OBEY": True,
        "ROBOTSTXT_USER_AGENT": orders.user_agent,
        "DOWNLOAD_TIMEOUT": TIMEOUT_SECONDS,
        "DOWNLOAD_MAXSIZE": LARGEST_PAGE_BYTES,
        "DOWNLOAD_WARNSIZE": 0,
        # The spider itself sees to it that no page is asked for twice.
        "DUPEFILTER_CLASS": "scrapy.dupefilters.BaseDupeFilter",
        "RETRY_TIMES": TRIES_MORE,
        "REDIRECT_MAX_TIMES": 3,
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
            "starwise.collect.patience.PatientRetry": 550,
            # Next to the network: what is answered before costs nothing.
            "starwise.collect.known.Known": 950,
            "starwise.collect.limits.Limits": 960,
        },
        "STARWISE_SITE": urlsplit(orders.url).netloc,
        "STARWISE_ROBOTS": orders.robots,
        "STARWISE_CACHE": orders.cache,
        "STARWISE_HOLD_ALL": not orders.local,
        "STARWISE_BUDGET": orders.budget,
        "STARWISE_SPENT": orders.spent,
        "LOG_LEVEL": "WARNING",
        "TELNETCONSOLE_ENABLED": False,
    }
    at_once = orders.concurrency if orders.local else 1
    return (
        shared
        | (_ON_THIS_MACHINE if orders.local else _elsewhere(orders.pause))
        | {"CONCURRENT_REQUESTS": at_once, "CONCURRENT_REQUESTS_PER_DOMAIN": at_once}
        | (_shared_queue(orders) if orders.queue else {})
    )


# Nobody else is on this machine: no cookies, caches or proxies to mind, no pauses.
_ON_THIS_MACHINE = {
    "COOKIES_ENABLED": False,
    "HTTPPROXY_ENABLED": False,
    "COMPRESSION_ENABLED": False,
    "DOWNLOAD_DELAY": 0,
}


def _elsewhere(pause: float) -> dict[str, object]:
    return {
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": 2 * pause,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": 1,
        "AUTOTHROTTLE_MAX_DELAY": max(60, pause),
        "DOWNLOAD_DELAY": pause,  # at least: AutoThrottle makes it longer where the site is slow
        "RANDOMIZE_DOWNLOAD_DELAY": False,
    }


def _shared_queue(orders: Orders) -> dict[str, object]:
    """Return what makes several crawlers share one queue in Redis, through scrapy-redis."""
    key = f"starwise:{key_of(orders.of)}"
    return {
        "SCHEDULER": "starwise.collect.scheduler.SharedScheduler",
        "SCHEDULER_SERIALIZER": "starwise.collect.scheduler",
        "SCHEDULER_PERSIST": True,
        "SCHEDULER_QUEUE_KEY": f"{key}:requests",
        "SCHEDULER_DUPEFILTER_KEY": f"{key}:asked",
        "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
        "REDIS_URL": orders.queue,
    }
