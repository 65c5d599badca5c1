/** Formats numbers, times and titles. */

const NUMBER = new Intl.NumberFormat("en-GB");
const LONG_AGO = 7 * 86_400;
let formats = formatsOf();

/** Show times in a zone; in the browser's without one, or if the browser does not know it. */
export function useTimeZone(name) {
  try {
    formats = formatsOf(name || undefined);
  } catch {
    formats = formatsOf();
  }
}

function formatsOf(timeZone) {
  const format = (options) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone });
  const [day, month, year] = [{ day: "numeric" }, { month: "short" }, { year: "numeric" }];
  return {
    clock: format({ hour: "2-digit", minute: "2-digit" }), day: format({ ...day, ...month }),
    date: format({ ...day, ...month, ...year }), year: format(year),
  };
}

/** A number with thousands separators. */
export function number(value) {
  return NUMBER.format(value);
}

/** `1 message`, `2 messages`. */
export function count(value, one, many = `${one}s`) {
  return `${NUMBER.format(value)} ${value === 1 ? one : many}`;
}

/** A time: only hours and minutes today, otherwise with the date. */
export function clock(iso) {
  const at = new Date(iso);
  const now = new Date();
  const { clock: time, day, date, year } = formats;
  if (date.format(at) === date.format(now)) return time.format(at);
  const short = year.format(at) === year.format(now) ? day : date;
  return `${short.format(at)}, ${time.format(at)}`;
}

/** The approximate age of a time. */
export function ago(iso) {
  const seconds = (Date.now() - new Date(iso).getTime()) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < LONG_AGO) return count(Math.floor(seconds / 86_400), "day") + " ago";
  return clock(iso);
}

/** A number of bytes with a unit. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** The title of a session, or a default. */
export function titleOf(session) {
  return session.title || `Session of ${clock(session.created)}`;
}

/** The beginning of a text, on one line of at most `limit` characters. */
export function beginning(text, limit = 60) {
  const line = text.replace(/\s+/g, " ").trim();
  const letters = [...line];
  return letters.length > limit ? `${letters.slice(0, limit - 1).join("").trimEnd()}…` : line;
}
