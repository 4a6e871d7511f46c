"""Passes connections to ADDRESS:PORT on to 127.0.0.1:PORT, so that containers of NETWORK reach what listens on loopback alone.

usage: forward.py ADDRESS PORT NETWORK
"""

import asyncio
import contextlib
import ipaddress
import sys

address, port, network = sys.argv[1], int(sys.argv[2]), ipaddress.ip_network(sys.argv[3])


async def pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def forward(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(OSError):
        # A local AWS runs what it is told: it is for this machine's containers, not for those who route to them.
        if ipaddress.ip_address(writer.get_extra_info("peername")[0]) not in network:
            return
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(back):
            await asyncio.gather(pump(reader, back), pump(there, writer))


async def main():
    async with await asyncio.start_server(forward, address, port) as server:
        await server.serve_forever()


asyncio.run(main())
