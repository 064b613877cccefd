// The simulated chip behind a TCP socket, for tools that open `socket://`: bytes as they are, no reset pins.

import { createServer, type Server, type Socket } from 'node:net';
import type { Chip } from './chip';

/** Serves a chip to one tool at a time; gives the port and how to stop. */
export async function serve(chip: Chip): Promise<{ port: number; stop: () => Promise<void> }> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    chip.send = (bytes) => socket.write(bytes);
    socket.on('data', (bytes) => chip.receive(bytes));
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const address = server.address();
  if (!address || typeof address === 'string') throw new Error('The server of the chip has no port.');
  return {
    port: address.port,
    stop: () => {
      for (const socket of open) socket.destroy();
      return new Promise((done) => server.close(() => done()));
    },
  };
}
