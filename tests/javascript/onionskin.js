// What the tests of both clients share: where the service is, and what it has stored.
//
// The model behind the service answers with what it was asked, as JSON: `last`, `prompt`, `tools`.

export const url = process.env.ONIONSKIN_URL;
/** In front of the service: loses the first answer to each request. */
export const losing = process.env.LOSING_URL;

/** What each session of a user holds, the latest first. */
export async function transcripts(user) {
  const { sessions } = await get(`/v1/users/${user}/sessions`);
  const pages = sessions.map((one) => get(`/v1/users/${user}/sessions/${one.session_id}/messages`));
  return (await Promise.all(pages)).map(({ messages }) => messages.map((one) => one.content));
}

async function get(path) {
  const answer = await fetch(url + path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}
