"""`idiff serve`: one model in memory that answers on loopback, by a page and by HTTP.

`engine` queues and works, `asking` checks what is asked and answers it, `api` and `page` are the two ways in, `app` joins them.
"""
