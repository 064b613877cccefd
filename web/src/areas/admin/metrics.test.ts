import { expect, test } from 'vitest';
import { parse, quantile, rate, since, total } from './metrics';

const TEXT = (ok: number, fast: number, slow: number): string => `# HELP x y
espalier_http_request_duration_seconds_sum{class="api"} 0.5
espalier_http_request_duration_seconds_count{class="api"} ${fast + slow}
espalier_http_request_duration_seconds_bucket{le="0.001",class="api"} ${fast}
espalier_http_request_duration_seconds_bucket{le="0.01",class="api"} ${fast + slow}
espalier_http_request_duration_seconds_bucket{le="+Inf",class="api"} ${fast + slow}
espalier_http_requests_total{class="api",status="2xx"} ${ok}
espalier_http_requests_total{class="api",status="5xx"} 1
espalier_devices 12
what is this
`;

test('the text is read', () => {
  const reading = parse(TEXT(9, 5, 5), 0);
  expect(total(reading, 'espalier_http_requests_total')).toBe(10);
  expect(total(reading, 'espalier_http_requests_total', 'status="5xx"')).toBe(1);
  expect(total(reading, 'espalier_devices')).toBe(12);
  expect(reading.latency.get('api')?.count).toBe(10);
});

test('rates need a server that was not started anew', () => {
  const [a, b] = [parse(TEXT(10, 1, 1), 0), parse(TEXT(20, 1, 1), 5000)];
  expect(rate(a, b, 'espalier_http_requests_total')).toBe(2);
  expect(rate(b, a, 'espalier_http_requests_total')).toBeUndefined();
});

test('answer times lie between the edges of their bucket', () => {
  const api = parse(TEXT(1, 50, 50), 0).latency.get('api')!;
  expect(quantile(api, 0.5)).toBeCloseTo(0.001);
  expect(quantile(api, 0.95)).toBeCloseTo(0.0091);
  expect(quantile({ count: 0, sum: 0, buckets: [] }, 0.5)).toBeUndefined();
  const later = parse(TEXT(1, 50, 60), 0).latency.get('api')!;
  expect(since(api, later).count).toBe(10);
  expect(quantile(since(api, later), 0.5)).toBeGreaterThan(0.001);
  expect(since(later, api)).toBe(api);
});
