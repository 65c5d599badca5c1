/** Keeps a scrolling box at its end while its content changes, until the reader scrolls up. */

import { isPressed } from "./elements.js";

const NEAR_END_PX = 120;

/**
 * Keep a scrolling box at its end.
 * @param {HTMLElement} box
 * @returns {{toEnd: () => void, isFollowed: () => boolean}} `toEnd` scrolls to the end and follows again
 */
export function autoscroll(box) {
  let isFollowed = true;
  let before = box.scrollTop;

  box.addEventListener("scroll", () => {
    const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
    if (isNear || box.scrollTop < before) isFollowed = isNear; // while scrolling down, the end is not near yet
    before = box.scrollTop;
  }, { passive: true });
  box.addEventListener("put", () => isFollowed && toEnd());
  new ResizeObserver(() => isFollowed && box.scrollTo({ top: box.scrollHeight, behavior: "instant" })).observe(box);

  function toEnd() {
    isFollowed = true;
    if (!isPressed(box)) box.scrollTop = box.scrollHeight;
  }

  return { toEnd, isFollowed: () => isFollowed };
}
