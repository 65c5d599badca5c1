"""LangSmith works by LangChain's own variables, without settings of ours."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.services import running_service


def test_the_chain_and_its_model_call_reach_langsmith(tmp_path: Path) -> None:
    seen: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"{}")  # its settings: as they are by default

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen[self.path] = seen.get(self.path, b"") + body
            self._answer(b"{}")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings = {
            "ONIONSKIN_MODEL": "offline",
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_API_KEY": "any",
            "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "LANGSMITH_DISABLE_RUN_COMPRESSION": "true",
        }
        try:
            with running_service(tmp_path, **settings) as service, service.client() as client:
                body = {"user_id": "a", "message": "My dog is called Biscuit."}
                client.post("/v1/chat", json=body).raise_for_status()
        finally:
            server.shutdown()
            thread.join(10)
    (sent,) = seen.values()
    for name in (b"ConversationChain", b"OfflineChatModel", b"My dog is called Biscuit."):
        assert name in sent
