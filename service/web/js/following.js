/** A box that stays at its end while it grows and shrinks, until its reader goes further up. */

import { isHeld } from "./elements.js";

const NEAR_END_PX = 120;

/**
 * Keep a box that scrolls at its end.
 * @param {HTMLElement} box
 * @returns {{toEnd: () => void, isFollowed: () => boolean}} `toEnd` goes there, and follows again
 */
export function following(box) {
  let isFollowed = true;
  let before = box.scrollTop;

  box.addEventListener("scroll", () => {
    const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
    if (isNear || box.scrollTop < before) isFollowed = isNear; // on the way down to the end it is not near yet
    before = box.scrollTop;
  }, { passive: true });
  box.addEventListener("put", () => isFollowed && toEnd());
  new ResizeObserver(() => isFollowed && box.scrollTo({ top: box.scrollHeight, behavior: "instant" })).observe(box);

  function toEnd() {
    isFollowed = true;
    if (!isHeld(box)) box.scrollTop = box.scrollHeight;
  }

  return { toEnd, isFollowed: () => isFollowed };
}
