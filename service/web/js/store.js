/** The page's state, with subscriptions to changes. */

/**
 * @param {object} values the initial state
 */
export function createStore(values) {
  const watchers = [];
  return {
    /** The current state. */
    get: () => values,

    /** Change values, and notify their watchers. */
    set(changes) {
      const changed = Object.keys(changes).filter((name) => values[name] !== changes[name]);
      Object.assign(values, changes);
      for (const { names, onChange } of watchers) {
        if (names.some((name) => changed.includes(name))) onChange(values);
      }
    },

    /** Call `onChange` now, and after every change of `names`. */
    watch(names, onChange) {
      watchers.push({ names, onChange });
      onChange(values);
    },
  };
}
