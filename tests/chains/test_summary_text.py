"""A summary is taken out of what a model writes around it; a refusal is none."""

# ruff: noqa: RUF001
import pytest

from onionskin.chains.summary_text import is_refusal, summary_of

_SUMMARY = "The user lives in Porto.\nTheir dog is called Rex."
_CLEANED = (
    _SUMMARY,
    f"<summary>\n{_SUMMARY}\n</summary>",
    f"<SUMMARY>{_SUMMARY}</SUMMARY>",
    f"<updated_summary>\n{_SUMMARY}\n</updated_summary>",
    f"‹summary›\n{_SUMMARY}\n‹/summary›",
    f"<summary>\n{_SUMMARY}",
    f"{_SUMMARY}\n</summary>",
    f"```\n{_SUMMARY}\n```",
    f"```markdown\n{_SUMMARY}\n```",
    f"```xml\n<summary>\n{_SUMMARY}\n</summary>\n```",
    f"```\n{_SUMMARY}",
    f"Here is the updated summary:\n\n{_SUMMARY}",
    f"Here is the updated summary:\n<summary>\n{_SUMMARY}\n</summary>\nLet me know if it fits!",
    f"Sure! Here's the updated running summary of the conversation, in 480 words:\n\n{_SUMMARY}",
    f"**Updated summary:**\n{_SUMMARY}",
    f"## Summary\n\n{_SUMMARY}",
    f"Summary: {_SUMMARY}",
    f"**Summary:** {_SUMMARY}",
    f"{_SUMMARY}\n\nLet me know if you would like any changes.",
    f"Hier ist die aktualisierte Zusammenfassung:\n\n{_SUMMARY}",
    f"Voici le résumé mis à jour :\n{_SUMMARY}",
    f"Aquí está el resumen actualizado:\n{_SUMMARY}",
    f"Вот обновлённое краткое содержание:\n{_SUMMARY}",
    f"以下是更新后的摘要：\n{_SUMMARY}",
    f"以下は更新された要約です：\n\n{_SUMMARY}",
    f"<think>\nThe lines say more.\n</think>\n\n<summary>\n{_SUMMARY}\n</summary>",
    (
        "<summary>\nOld.\n</summary>\n<new_lines>\n- x\n</new_lines>\n"
        f"<summary>\n{_SUMMARY}\n</summary>"
    ),
    f"I'm sorry for the confusion. Here is the updated summary:\n\n{_SUMMARY}",
    f"{_SUMMARY}<|im_end|>",
)
_NONE = (
    "",
    " \n ",
    "...",
    "<summary></summary>",
    "<summary>\n</summary>\n",
    "```\n```",
    "<think>\nThe user wants a summary, so I",
    "<think>Hm.</think>",
    '<summary>\nOld.\n</summary>\n<new_lines>\n- [2026-01-01 10:00] user: "Hi."\n</new_lines>',
    "I'm sorry, I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I apologize, but I am unable to summarize this conversation.",
    "I cannot provide a summary of this content.",
    "I'm unable to help with this.",
    "Sorry, but that goes against my guidelines.",
    "Unfortunately, I cannot process this conversation.",
    "As an AI language model, I cannot do that.",
    "Please provide the conversation to summarize.",
    "<summary>I'm sorry, but I can't help with that.</summary>",
    "Here is the summary:\n\nI'm sorry, I can't continue.",
    "**I'm sorry, but I can't assist with that.**",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Ich kann diese Unterhaltung leider nicht zusammenfassen.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Désolée, je ne peux pas répondre à cette demande.",
    "Lo siento, pero no puedo ayudar con eso.",
    "No puedo ayudarte con esa solicitud.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Het spijt me, maar daar kan ik niet bij helpen.",
    "Przykro mi, ale nie mogę w tym pomóc.",
    "Извините, но я не могу с этим помочь.",
    "К сожалению, я не могу выполнить этот запрос.",
    "Üzgünüm, bu konuda yardımcı olamam.",
    "抱歉，我无法协助处理这个请求。",
    "对不起，我不能提供帮助。",
    "申し訳ございませんが、お手伝いできません。",
    "죄송하지만 도와드릴 수 없습니다.",
    "عذراً، لا أستطيع المساعدة في ذلك.",
    "क्षमा करें, मैं इसमें मदद नहीं कर सकता।",
)
_SUMMARIES = (
    "The user apologised: they said 'I'm sorry, I can't come'.",
    "The user can't eat nuts and asked the assistant for help.",
    "Unfortunately the flat in Gent was sold; the user moved to Rome.",
    "The user explained that `<think>` tags open the reasoning and that <b> is bold.",
    "Ann: lives in Porto. Bo: lives in Gent.",
    "No puedo comer nueces; vivo en Porto.",
    "Ich kann kein Gluten essen und wohne in Porto.",
    "User facts:\n- lives in Porto\n- has a dog\n\n```python\nprint(1)\n```\nand asked about it.",
    "The user asked for a summary of the contract: it ends in May.\nThey signed it.",
)


@pytest.mark.parametrize("answer", _CLEANED)
def test_a_summary_loses_what_surrounds_it(answer: str) -> None:
    assert summary_of(answer) == _SUMMARY


@pytest.mark.parametrize("answer", _NONE)
def test_what_is_no_summary_is_rejected(answer: str) -> None:
    assert summary_of(answer) is None


@pytest.mark.parametrize("answer", _SUMMARIES)
def test_a_summary_that_resembles_one_of_these_is_kept(answer: str) -> None:
    assert summary_of(answer) == answer
    assert not is_refusal(answer)
