"""The minimum: an endpoint that passes the message to ChatOpenAI, without memory.

python -m onionskin.benchmarks.turn.bare MODEL_URL
"""

import json
from collections.abc import AsyncGenerator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from onionskin.benchmarks.turn.peer import Message, Reply, chat_model, model_url, serve

app = FastAPI()
model = chat_model(model_url())


@app.post("/v1/chat", response_model=Reply)
async def chat(body: Message) -> Reply | StreamingResponse:
    """Answer a message."""
    if body.stream:
        return StreamingResponse(_events(body.message), media_type="text/event-stream")
    answer = await model.ainvoke(body.message)
    return Reply(reply=str(answer.text))


async def _events(message: str) -> AsyncGenerator[str]:
    async for piece in model.astream(message):
        if piece.text:
            yield f"event: token\ndata: {json.dumps({'text': str(piece.text)})}\n\n"


if __name__ == "__main__":
    serve(app)
