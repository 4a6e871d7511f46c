"""Passes connections to ADDRESS:PORT on to 127.0.0.1:PORT, so that containers reach what listens on loopback alone."""

import asyncio
import contextlib
import sys

address, port = sys.argv[1], int(sys.argv[2])


async def pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def forward(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(OSError):
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(back):
            await asyncio.gather(pump(reader, back), pump(there, writer))


async def main():
    async with await asyncio.start_server(forward, address, port) as server:
        await server.serve_forever()


asyncio.run(main())
