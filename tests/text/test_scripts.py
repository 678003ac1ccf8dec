"""One threshold in every script: pairs written for this, half of them small rewordings, half different tasks that look alike."""

from __future__ import annotations

import unicodedata

import pytest

from selfinstruct.text.rouge import rouge_l
from selfinstruct.text.tokens import caution, count_unseen, rouge_tokens, unicode_tokens

Pairs = list[tuple[str, str]]
SAME: dict[str, Pairs] = {
    "ko": [
        ("다음 문장을 영어로 번역하세요.", "다음 문장을 영어로 번역해 주세요."),
        ("여행 계획을 세 단계로 나누어 적으세요.", "여행 계획을 3단계로 나누어 적어 주세요."),
        ("이 글의 핵심 내용을 두 문장으로 요약하세요.", "이 글의 핵심 내용을 두 문장으로 요약하십시오."),
        ("회의록을 읽고 할 일을 정리하세요.", "회의록을 읽고 할일을 정리해 주세요."),
        ("어린이에게 무지개가 생기는 까닭을 설명해 보세요.", "어린이에게 무지개가 생기는 이유를 설명해 보세요."),
        ("Python으로 두 수의 합을 구하는 함수를 작성하세요.", "Python으로 두 수의 합을 구하는 함수를 만드세요."),
    ],
    "ja": [
        ("次の文を英語に翻訳してください。", "次の文章を英語に翻訳して下さい。"),
        ("会議の要点を三つにまとめてください。", "会議の要点を三つにまとめなさい。"),
        ("春をテーマにした短い詩を書いてください。", "春をテーマとした短い詩を書いてください。"),
    ],
    "zh": [
        ("请把下面的句子翻译成英文。", "请把下面这个句子翻译成英文。"),
        ("写一首关于春天的短诗。", "请写一首关于春天的短诗。"),
        ("列出三种健康的早餐。", "请列出三种健康的早餐吧。"),
    ],
    "th": [
        ("แปลประโยคต่อไปนี้เป็นภาษาอังกฤษ", "ช่วยแปลประโยคต่อไปนี้เป็นภาษาอังกฤษ"),
        ("เขียนบทกวีสั้นเกี่ยวกับทะเล", "เขียนบทกวีสั้น ๆ เกี่ยวกับทะเล"),
        ("สรุปบทความนี้ในสองประโยค", "สรุปบทความนี้ให้เหลือสองประโยค"),
    ],
    "hi": [
        ("इस वाक्य का अंग्रेज़ी में अनुवाद करें", "इस वाक्य का अंग्रेज़ी में अनुवाद कीजिए"),
        ("बारिश पर एक छोटी कविता लिखें", "बारिश पर एक छोटी सी कविता लिखें"),
        ("इस लेख का सार दो वाक्यों में लिखें", "इस लेख का सार केवल दो वाक्यों में लिखें"),
    ],
    "ar": [
        ("ترجم الجملة التالية إلى اللغة الإنجليزية", "ترجم الجملة الآتية إلى اللغة الإنجليزية"),
        ("اكتب قصيدة قصيرة عن البحر", "اكتب قصيدة قصيرة جدا عن البحر"),
    ],
    "ru": [
        ("Переведи следующее предложение на английский язык", "Переведите следующее предложение на английский язык"),
        ("Напиши короткое стихотворение о море", "Напиши короткое стихотворение о тёплом море"),
    ],
    "accents": [
        ("Écris un poème sur la forêt en été", "Écris un poème sur la forêt en hiver"),
        ("Explica cómo se forma un arcoíris a un niño", "Explica cómo se forma el arcoíris a un niño"),
        ("Viết một bài thơ ngắn về mùa xuân", "Hãy viết một bài thơ ngắn về mùa xuân"),
        ("Übersetze den Satz ins Französische", unicodedata.normalize("NFD", "Übersetze den Satz ins Französische")),
    ],
    "mixed": [
        ("ＡＢＣ株式会社の説明文を書いてください", "ABC株式会社の説明文を書いてください"),
        ("이모지 🚀 를 써서 제품을 소개하세요", "이모지 🚀 를 써서 제품을 소개해 주세요"),
        ("用 Python 写一个排序函数", "请用 Python 写一个排序函数"),
    ],
}
OTHER: dict[str, Pairs] = {
    "ko": [
        ("주어진 문장의 감정을 분류하세요.", "주어진 문장을 영어로 번역하세요."),
        ("Python으로 파일을 읽는 방법을 알려 주세요.", "Python의 장점을 세 가지 알려 주세요."),
        ("이 글을 두 문장으로 요약해 주세요.", "이 시의 분위기를 설명해 주세요."),
        ("GPT-4와 BERT의 차이를 설명하세요.", "GPT-4로 BERT 논문을 요약하게 하는 방법을 적으세요."),
        ("여행 계획을 세워 주세요.", "운동 일정을 짜 주세요."),
        ("다음 숫자의 평균을 구하세요.", "다음 숫자를 큰 순서로 늘어놓으세요."),
    ],
    "ja": [
        ("次の文を英語に翻訳してください。", "次の文の感情を分類してください。"),
        ("春をテーマにした短い詩を書いてください。", "この数式を解いて答えを書きなさい。"),
        ("Pythonで素数を求める関数を書いてください。", "Pythonの歴史について説明してください。"),
    ],
    "zh": [
        ("请把下面的句子翻译成英文。", "请判断下面的句子是褒义还是贬义。"),
        ("写一首关于春天的短诗。", "写一封关于退货的邮件。"),
        ("用 Python 写一个排序函数。", "解释 Python 的优点和缺点。"),
    ],
    "th": [
        ("แปลประโยคต่อไปนี้เป็นภาษาอังกฤษ", "จงบอกว่าประโยคต่อไปนี้มีความหมายบวกหรือลบ"),
        ("เขียนบทกวีสั้นเกี่ยวกับทะเล", "แต่งจดหมายลาหยุดงานถึงหัวหน้า"),
        ("สรุปบทความนี้ในสองประโยค", "นับจำนวนคำในบทความนี้"),
    ],
    "hi": [
        ("इस वाक्य का अंग्रेज़ी में अनुवाद करें", "इस वाक्य में संज्ञा शब्द पहचानें"),
        ("बारिश पर एक छोटी कविता लिखें", "छुट्टी के लिए एक आवेदन पत्र लिखें"),
        ("इस लेख का सार दो वाक्यों में लिखें", "इस लेख के लिए तीन शीर्षक सुझाएँ"),
    ],
    "ar": [
        ("ترجم الجملة التالية إلى اللغة الإنجليزية", "صنف الجملة التالية إيجابية أو سلبية"),
        ("اكتب قصيدة قصيرة عن البحر", "اكتب رسالة اعتذار إلى زميل"),
    ],
    "ru": [
        ("Переведи следующее предложение на английский язык", "Определи тональность: следующее предложение радостное?"),
        ("Напиши короткое стихотворение о море", "Напиши короткое письмо начальнику"),
    ],
    "accents": [
        ("Écris un poème sur la forêt en été", "Résous l'équation et explique chaque étape"),
        ("Explica cómo se forma un arcoíris a un niño", "Explica cómo preparar una paella a un amigo"),
        ("Viết một bài thơ ngắn về mùa xuân", "Viết một lá thư xin nghỉ việc"),
        ("Übersetze den Satz ins Französische", "Zähle die Wörter im Satz"),
    ],
    "mixed": [
        ("ＡＢＣ株式会社の説明文を書いてください", "ＡＢＣ株式会社の電話番号を調べなさい"),
        ("이모지 🚀 를 써서 제품을 소개하세요", "로켓 🚀 이 나는 원리를 적으세요"),
        ("用 Python 写一个排序函数", "用 Python 画一张饼图"),
    ],
}
THRESHOLD = 0.7


def right(script: str, cut: object) -> int:
    same = sum(rouge_l(cut(one), cut(two)) > THRESHOLD for one, two in SAME[script])  # type: ignore[operator]
    return same + sum(rouge_l(cut(one), cut(two)) <= THRESHOLD for one, two in OTHER[script])  # type: ignore[operator]


@pytest.mark.parametrize("script", SAME)
def test_every_pair_is_on_its_side(script: str) -> None:
    """With the shipped tokenizer each rewording is caught and each other task stays."""
    for one, two in SAME[script]:
        assert rouge_l(unicode_tokens(one), unicode_tokens(two)) > THRESHOLD, (one, two)
    for one, two in OTHER[script]:
        assert rouge_l(unicode_tokens(one), unicode_tokens(two)) <= THRESHOLD, (one, two)


def test_the_published_tokenizer_is_not_enough() -> None:
    """Of the same pairs it has few rewordings right: this is what the paper presets warn of."""
    total = sum(len(SAME[script]) + len(OTHER[script]) for script in SAME)
    assert sum(right(script, unicode_tokens) for script in SAME) == total
    assert sum(right(script, rouge_tokens) for script in SAME) < 0.7 * total


def test_letters_that_are_not_seen() -> None:
    """Nearly all of Korean with the published tokenizer, none with the shipped one; a fifth is told."""
    korean = [text for pair in SAME["ko"] for text in pair]
    unseen, there = count_unseen(korean, "rouge")
    assert unseen > 0.8 * there
    assert "does not see" in caution(unseen, there)
    assert count_unseen(korean, "unicode") == (0, 0)
    assert count_unseen(["Plain words, 42 of them"], "rouge")[0] == 0
    assert count_unseen(["ab 한국", "", "!?"], "rouge") == (2, 4)
    assert count_unseen(["café"], "rouge") == (1, 4)
    assert not caution(0, 0)
    assert not caution(1, 5)
