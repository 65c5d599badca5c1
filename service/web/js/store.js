/** What the page knows, and who wants to hear of changes. */

/**
 * @param {object} values what is known at first
 */
export function createStore(values) {
  const watchers = [];
  return {
    /** What is known now. */
    get: () => values,

    /** Know something else, and tell those who watch it. */
    set(changes) {
      const changed = Object.keys(changes).filter((name) => values[name] !== changes[name]);
      Object.assign(values, changes);
      for (const { names, heard } of watchers) {
        if (names.some((name) => changed.includes(name))) heard(values);
      }
    },

    /** Hear of every change of `names`, and now. */
    watch(names, heard) {
      watchers.push({ names, heard });
      heard(values);
    },
  };
}
