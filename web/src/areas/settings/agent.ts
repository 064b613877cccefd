// What a client calls itself, in words. Pure; when nothing is recognised, the text itself is shown.

const BROWSERS: [RegExp, string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\b(?:OPR|Opera)\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:HeadlessChrome|Chrome|CriOS)\//, 'Chrome'],
  [/\bVersion\/.*\bSafari\//, 'Safari'],
  [/^curl\//, 'curl'],
  [/^python-requests\//, 'Python'],
  [/^okhttp\//, 'An Android app'],
  [/\bDart\//, 'The mobile app'],
];
const SYSTEMS: [RegExp, string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\b(?:iPhone|iPad|iPod)\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];

/** "Firefox on Windows", "curl", or as much of the text as helps. */
export function agentName(agent: string | null | undefined): string {
  const text = agent?.trim();
  if (!text) return 'An unnamed program';
  const browser = BROWSERS.find(([fits]) => fits.test(text))?.[1];
  const system = SYSTEMS.find(([fits]) => fits.test(text))?.[1];
  if (!browser) return text.length > 60 ? `${text.slice(0, 59)}…` : text;
  return system ? `${browser} on ${system}` : browser;
}

/** Whether it is carried in a hand, for the picture beside it. */
export function isPhone(agent: string | null | undefined): boolean {
  return /\b(?:Android|iPhone|iPad|iPod|Mobile|Dart)\b/.test(agent ?? '');
}
