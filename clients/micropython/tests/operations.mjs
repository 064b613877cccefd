// What tests want from outside the interpreter, whichever one it is: sockets (for the shim of `socket`), requests of a person to the
// server, a plug between the board and the server that can be pulled, TLS before the server, and a browser that opens a page
// while the board serves it.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

/** The operations by name; each takes a list and returns what JSON can hold. `certificates`: the folder with those of TLS. */
export function operations(url, session, certificates) {
  const server = new URL(url);

  const sockets = new Map();
  let next = 1;
  const keep = (entry) => {
    sockets.set(next, entry);
    return next++;
  };

  /** A connection with what it has received and who waits for it. */
  function connection(socket) {
    const entry = { socket, data: Buffer.alloc(0), ended: false, wake: () => {} };
    socket.on('data', (piece) => {
      entry.data = Buffer.concat([entry.data, piece]);
      entry.wake();
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        entry.ended = true;
        entry.wake();
      });
    }
    return entry;
  }

  /** Waits until `there` says so; false when the time is over first. */
  function until(entry, there, ms) {
    return new Promise((done) => {
      const look = () => there() && finish(true);
      const timer = setTimeout(() => finish(false), ms);
      const finish = (found) => {
        clearTimeout(timer);
        entry.wake = () => {};
        done(found);
      };
      entry.wake = look;
      look();
    });
  }

  // The plug: boards connect to `gate`, which passes on to the server while it is in.
  const passing = new Set();
  let gate = null;
  let port = 0;
  function plug() {
    return new Promise((done, fail) => {
      gate = net.createServer((near) => {
        const far = net.connect(Number(server.port), server.hostname);
        for (const [one, other] of [[near, far], [far, near]]) {
          passing.add(one);
          one.on('error', () => other.destroy());
          one.on('close', () => passing.delete(one));
          one.pipe(other);
        }
      });
      gate.on('error', fail);
      gate.listen(port, '127.0.0.1', () => {
        port = gate.address().port;
        done(port);
      });
    });
  }
  function unplug() {
    return new Promise((done) => {
      gate.close(done);
      for (const one of passing) one.destroy();
    });
  }

  // TLS before the plug, with one of the certificates; what comes through is counted.
  const fronts = new Map();
  function front([name]) {
    const read = (ending) => fs.readFileSync(path.join(certificates, `${name}.${ending}`));
    const entry = { handshakes: 0, bytes: 0 };
    const listener = tls.createServer({ key: read('key'), cert: read('pem') }, (near) => {
      entry.handshakes += 1;
      const far = net.connect(port, '127.0.0.1');
      near.on('data', (piece) => (entry.bytes += piece.length));
      for (const [one, other] of [[near, far], [far, near]]) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
        one.pipe(other);
      }
    });
    listener.on('tlsClientError', () => {});
    return new Promise((done, fail) => {
      listener.on('error', fail);
      listener.listen(0, '127.0.0.1', () => {
        fronts.set(listener.address().port, entry);
        done(listener.address().port);
      });
    });
  }

  let visit = null;

  return {
    plug,
    unplug: async () => (await unplug(), true),
    front,
    // What came through TLS at this port: handshakes that were finished, bytes that could be read.
    seen: ([at]) => fronts.get(at),
    connect: ([host, to, ms]) =>
      new Promise((done) => {
        const socket = net.connect(to, host);
        const entry = connection(socket);
        const timer = setTimeout(() => socket.destroy(), ms);
        socket.on('connect', () => (clearTimeout(timer), done(keep(entry))));
        socket.on('close', () => (clearTimeout(timer), done(0)));
      }),
    send: ([id, hex]) => new Promise((done) => sockets.get(id).socket.write(Buffer.from(hex, 'hex'), (error) => done(!error))),
    // At most `count` bytes as they are there, '' at the end, null when the time is over.
    receive: async ([id, count, ms]) => {
      const entry = sockets.get(id);
      if (!(await until(entry, () => entry.data.length > 0 || entry.ended, ms))) return null;
      const piece = entry.data.subarray(0, count);
      entry.data = entry.data.subarray(piece.length);
      return piece.toString('hex');
    },
    close: ([id]) => {
      const entry = sockets.get(id);
      sockets.delete(id);
      if (entry?.listener) entry.listener.close();
      else entry?.socket.end();
      return true;
    },
    listen: ([at]) =>
      new Promise((done, fail) => {
        const entry = { listener: net.createServer(), waiting: [], wake: () => {} };
        entry.listener.on('connection', (socket) => {
          entry.waiting.push(connection(socket));
          entry.wake();
        });
        entry.listener.on('error', fail);
        entry.listener.listen(at, '127.0.0.1', () => done(keep(entry)));
      }),
    accept: async ([id, ms]) => {
      const entry = sockets.get(id);
      return (await until(entry, () => entry.waiting.length > 0, ms)) ? keep(entry.waiting.shift()) : 0;
    },
    // A person asks the server.
    ask: async ([method, path, body]) => {
      const headers = { authorization: `Bearer ${session}`, 'content-type': 'application/json' };
      const answer = await fetch(new URL(path, server), { method, headers, body: body ?? undefined });
      const text = await answer.text();
      return { status: answer.status, body: text ? JSON.parse(text) : null };
    },
    // A person, or whoever has the token, sends an object with many long members between `before` and `after`; returns the status.
    fill: async ([method, path, before, after, keys, size, token]) => {
      const many = Array.from({ length: keys }, (_, n) => `"${path.length}-${before.length}-key${n}":"${'x'.repeat(size)}"`);
      const headers = { authorization: `Bearer ${token ?? session}`, 'content-type': 'application/json' };
      const answer = await fetch(new URL(path, server), { method, headers, body: before + many.join(',') + after });
      return answer.status;
    },
    // A browser sends these requests one after the other, once the page is there; `visited` returns the answers.
    visit: ([at, requests]) => {
      visit = (async () => {
        const answers = [];
        for (const request of requests) {
          const socket = net.connect(at, '127.0.0.1');
          const entry = connection(socket);
          socket.write(Buffer.from(request, 'latin1'));
          await until(entry, () => entry.ended, 8000);
          answers.push(entry.data.toString('latin1'));
          socket.destroy();
        }
        return answers;
      })();
      return true;
    },
    visited: () => visit,
  };
}
