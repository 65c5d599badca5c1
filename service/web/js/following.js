/** A box that stays at its end while it grows and shrinks, until its reader goes further up. */

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
  new ResizeObserver(() => isFollowed && box.scrollTo({ top: box.scrollHeight, behavior: "instant" })).observe(box);

  return {
    isFollowed: () => isFollowed,
    toEnd() {
      isFollowed = true;
      box.scrollTop = box.scrollHeight;
    },
  };
}
