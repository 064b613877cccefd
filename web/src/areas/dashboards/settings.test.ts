import { describe, expect, it } from 'vitest';
import { check, fieldText, formOf, KINDS, OFFERED, valueOf, type Form } from './settings';

const form = (over: Partial<Form>): Form => ({ ...formOf('Lamp', 'd1', { key: 'a' }), ...over });

describe('the form of a widget', () => {
  it('offers every type', () => {
    expect([...OFFERED].sort()).toEqual(Object.keys(KINDS).sort());
  });

  it('says under each field what is wrong', () => {
    expect(Object.keys(check('gauge', form({ device: '', key: '' })).errors)).toEqual(['device', 'key']);
    expect(Object.keys(check('gauge', form({ min: '5', max: '5' })).errors)).toEqual(['max']);
    expect(Object.keys(check('gauge', form({ min: 'five' })).errors)).toEqual(['min']);
    expect(Object.keys(check('slider', form({ min: '100' })).errors)).toEqual(['max']);
    expect(Object.keys(check('slider', form({ step: '0' })).errors)).toEqual(['step']);
    expect(Object.keys(check('telemetry', form({ decimals: '1.5' })).errors)).toEqual(['decimals']);
    expect(Object.keys(check('switch', form({ on_value: 'true', off_value: '1' })).errors)).toEqual(['off_value']);
    expect(Object.keys(check('led', form({ key: 'relay1' })).errors)).toEqual(['key']);
    expect(Object.keys(check('image', form({ url: 'http://x' })).errors)).toEqual(['url']);
  });

  it('gives the server values of the right kind', () => {
    expect(check('slider', form({ min: '0,5', max: '10', unit: ' V ' }))).toEqual({
      errors: {},
      config: { key: 'a', virtual_pin: null, min: 0.5, max: 10, step: null, unit: 'V', decimals: null },
    });
    expect(check('led', form({ key: 'V3' })).config).toEqual({ virtual_pin: 'v3' });
    expect(check('switch', form({ on_value: 'open', off_value: 'false' })).config).toMatchObject({
      on_value: 'open',
      off_value: false,
    });
  });

  it('keeps values through the form', () => {
    for (const value of [1, 0.5, -3, true, false, 'open', '1', 'true', '"quoted"', 'a b']) {
      expect(valueOf(fieldText(value))).toBe(value);
    }
  });
});
