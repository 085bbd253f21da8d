"""Building blocks that know nothing of attention: pipelines, queues, counters."""
