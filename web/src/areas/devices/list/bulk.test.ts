import { describe, expect, it } from 'vitest';
import type { Device } from '$/api/client';
import { changed, undoSteps } from './bulk';

const device = (id: string, tags: string[], groups: string[] = []): Device =>
  ({ id, name: id, tags, groups }) as unknown as Device;

describe('taking a bulk change back', () => {
  it('removes a tag only where it was not before', () => {
    const steps = undoSteps({ do: 'add_tag', tag: 'x' }, [device('a', ['x']), device('b', [])]);
    expect(steps).toEqual([{ change: { do: 'remove_tag', tag: 'x' }, devices: [device('b', [])] }]);
  });

  it('gives a tag back only to those that had it', () => {
    const steps = undoSteps({ do: 'remove_tag', tag: 'x' }, [device('a', ['x']), device('b', [])]);
    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatchObject({ devices: [{ id: 'a' }] });
  });

  it('restores each former group, several of one device by itself, and skips what did not move', () => {
    const before = [device('a', [], ['g']), device('b', [], []), device('c', [], ['p', 'q']), device('d', [], ['new'])];
    const steps = undoSteps({ do: 'set_group', group: 'new' }, before);
    expect(steps).toHaveLength(3);
    expect(steps).toContainEqual({ change: { do: 'set_group', group: 'g' }, devices: [before[0]] });
    expect(steps).toContainEqual({ change: { do: 'set_group', group: null }, devices: [before[1]] });
    expect(steps).toContainEqual({ groups: ['p', 'q'], device: before[2] });
  });

  it('never pretends to bring back what is deleted', () => {
    expect(undoSteps({ do: 'delete' }, [device('a', [])])).toEqual([]);
    expect(changed(device('a', []), { do: 'delete' })).toBeUndefined();
  });
});
