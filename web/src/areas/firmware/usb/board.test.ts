// The board's side is a simulated chip that esptool itself takes for a real one (tests/chip.spec.ts).

import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { Chip, type Options } from '../../../../tests/chip/chip';
import { C3, C6 } from '../../../../tests/chip/models';
import { ChipPort } from '../../../../tests/chip/serial-port';
import { Board } from './board';
import type { UsbFailure } from './failure';
import { Link } from './link';

function plugged(options: Options = {}): { chip: Chip; port: ChipPort; link: Link } {
  const chip = new Chip(options);
  const port = new ChipPort(chip);
  chip.powerOn();
  return { chip, port, link: new Link(port as unknown as SerialPort) };
}

const refusal = async (work: Promise<unknown>): Promise<UsbFailure> => {
  const got = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(got).toBeInstanceOf(Error);
  return got as UsbFailure;
};

for (const wiring of ['usb', 'bridge'] as const) {
  for (const model of [C3, C6]) {
    it(`writes, verifies and reads an ${model.name} through ${wiring}, and starts it`, async () => {
      const { chip, link } = plugged({ model, wiring });
      const board = await Board.connect(link);
      expect(board.facts).toMatchObject({ chip: model.name, mac: '60:55:F9:01:02:03', flash: 0x400000 });
      expect(chip.fastest).toBe(wiring === 'usb' ? 115_200 : 460_800);

      const data = Buffer.concat([Buffer.alloc(50_000, 'espalier'), randomBytes(30_001)]);
      const piece = { name: 'app', offset: 0x10000, data };
      const told: number[] = [];
      await board.write(piece, (done, total) => void told.push(done / total));
      expect(told.at(-1)).toBe(1);
      expect([...told].sort((a, b) => a - b)).toEqual(told);
      expect(Buffer.from(chip.flash.read(0x10000, data.length)).equals(data)).toBe(true);
      await board.verify(piece);

      const back = await board.read(0, chip.flash.size / 4, () => {});
      expect(Buffer.from(back).equals(Buffer.from(chip.flash.read(0, chip.flash.size / 4)))).toBe(true);

      chip.flash.bytes[0x10000 + 70_000]! ^= 4;
      expect((await refusal(board.verify(piece))).message).toMatch(/does not hold what was written \(app\)/);

      const starts = chip.starts;
      await board.restart();
      expect(chip.starts).toBe(starts + 1);
      // Its first sector is blank: it says so, at the speed that is heard.
      expect(chip.mode).toBe('nothing');
      expect(chip.hostBaud).toBe(115_200);
      await link.close();
    });
  }
}

it('asks for BOOT when the board has no wires for it, and goes on when it was pressed', async () => {
  const { chip, link } = plugged({ wiring: 'bare' });
  const told = await refusal(Board.connect(link));
  expect(told.trouble).toBe('silent');
  expect(told.message).toMatch(/Hold its BOOT button/);
  expect(link.isOpen).toBe(false);
  chip.bootButton();
  expect((await Board.connect(link)).facts.chip).toBe('ESP32-C3');
}, 20_000);

it('says at once that the cable was pulled, whatever was going on', async () => {
  const { chip, port, link } = plugged();
  const board = await Board.connect(link);
  chip.flash.watch((programmed) => programmed > 20_000 && port.unplug());
  const began = Date.now();
  const writing = board.write({ name: 'app', offset: 0x10000, data: randomBytes(200_000) }, () => {});
  const told = await refusal(writing);
  expect(told.trouble).toBe('lost');
  // No time-out of a command was waited for: the shortest has 3 s.
  expect(Date.now() - began).toBeLessThan(2_500);
  expect((await refusal(board.read(0, 0x1000, () => {}))).trouble).toBe('lost');
  await link.close();

  // Plugged in again, everything is possible again.
  chip.flash.watch(undefined);
  port.plug();
  const again = new Link(port as unknown as SerialPort);
  expect((await Board.connect(again)).facts.chip).toBe('ESP32-C3');
});

it.each([
  [{ flags: 1, crypt: 0 }, /only starts firmware that its maker signed/],
  [{ flags: 4, crypt: 0 }, /its maker closed its loader/],
  [{ flags: 0, crypt: 1 }, /its flash is encrypted/],
  [{ flags: 0, crypt: 7 }, /its flash is encrypted/],
])('refuses a board that was locked: %j', async (security, why) => {
  const { chip, link } = plugged();
  chip.loader.security = security;
  const told = await refusal(Board.connect(link));
  expect(told.trouble).toBe('locked');
  expect(told.message).toMatch(why);
});

it('takes a chip whose stub still runs from before', async () => {
  const { chip, link } = plugged({ wiring: 'bare' });
  chip.bootButton();
  await Board.connect(link);
  await link.close();
  expect(chip.loader.stub).toBe(true);
  expect((await Board.connect(link)).facts.flash).toBe(0x400000);
});

it('reports a port that somebody else holds', async () => {
  const { port, link } = plugged();
  await port.open({ baudRate: 9600 });
  const told = await refusal(Board.connect(link));
  expect(told.trouble).toBe('busy');
});

it('has patience with a computer that is busy while the stub starts', async () => {
  const { chip, link } = plugged();
  const send = chip.send;
  // Longer than the library waits for an answer here.
  chip.send = (bytes) => void (chip.loader.stub ? setTimeout(() => send(bytes), 300) : send(bytes));
  expect((await Board.connect(link)).facts.chip).toBe('ESP32-C3');
}, 30_000);
