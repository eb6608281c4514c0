"""python client.py SERVER_ADDR CA TOKEN DOMAIN UPSTREAM: forwards until its input ends."""
import asyncio
import os
import sys

import ngrok

server_addr, ca, token, domain, upstream = sys.argv[1:]


async def main():
    try:
        session = await (
            ngrok.SessionBuilder().server_addr(server_addr).root_cas(ca).authtoken(token).connect()
        )
        listener = await session.http_endpoint().domain(domain).listen()
        listener.forward(upstream)
        print("url", listener.url(), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await session.close()
    except ValueError as error:
        print("error", error.args[-1], flush=True)


asyncio.run(main())
os._exit(0)  # the module is known to crash at a regular exit after an error
