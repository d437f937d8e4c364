"""The PyPI package websockets against /websocket of HttpContract; prints what it sees."""

import asyncio
import sys

import websockets


async def main(address: str) -> None:
    url = f"ws://{address}/websocket"
    for target, compression in ((url, None), (f"{url}?compress=1", "deflate")):
        async with websockets.connect(
            target, subprotocols=["chat"], compression=compression, max_size=None
        ) as socket:
            for message in ("hello", "", "ä" * 1000, b"\x00\xff", b"x" * 100_000):
                await socket.send(message)
                print(await socket.recv() == message)
            await socket.send(["in ", "three ", "pieces"])
            print(await socket.recv())
            pong = await socket.ping()
            await pong
            print(socket.subprotocol)
        print(socket.close_code)
    async with websockets.connect(url) as socket:
        await socket.send("close")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(closed.rcvd.code, closed.rcvd.reason)
    sockets = await asyncio.gather(*(websockets.connect(url) for _ in range(50)))
    for number, socket in enumerate(sockets):
        await socket.send(str(number))
    print([await socket.recv() for socket in sockets] == [str(number) for number in range(50)])
    await asyncio.gather(*(socket.close() for socket in sockets))


asyncio.run(main(sys.argv[1]))
