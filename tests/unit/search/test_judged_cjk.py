"""Searches of Japanese, Chinese and Korean: forty records, and queries with the record that is meant.

The records and the judgements were written before anything was searched.
"""

import dataclasses

import apsw
import pytest
from tests.unit.search.test_engine import DEFINITION, make, titles

from lamdb.search.definition import Language
from lamdb.search.engine import SearchEngine
from lamdb.search.request import SearchRequest

CJK = dataclasses.replace(DEFINITION, language=Language.CJK, rank=())

RECORDS = [
    ("折りたたみ自転車", "通勤に便利な軽い自転車です。駅の階段でも楽に運べます。"),
    ("電気自転車", "坂道でも疲れない、電池で走る自転車です。"),
    ("子供用ヘルメット", "自転車に乗る小さな子供の頭を守ります。"),
    ("登山靴", "雨の日の山道でも滑りにくい靴です。"),
    ("防水ジャケット", "強い雨と風を通さない登山用の上着です。"),
    ("寝袋", "冬のキャンプでも暖かく眠れます。"),
    ("四人用テント", "家族のキャンプに合う広いテントです。"),
    ("コーヒーメーカー", "朝の一杯を自動で淹れる機械です。"),
    ("コーヒー豆", "エチオピア産の豆を深く焙煎しました。"),
    ("緑茶", "静岡の若い葉から作ったお茶です。"),
    ("抹茶茶碗", "茶道で使う手作りの茶碗です。"),
    ("炊飯器", "玄米も白米もおいしく炊ける台所の道具です。"),
    ("包丁", "野菜も魚もよく切れる鋼の刃物です。"),
    ("日本語辞典", "八万語の意味と使い方を説明する本です。"),
    ("折叠自行车", "适合上下班的轻便自行车,可以带上地铁。"),
    ("电动自行车", "电池可以行驶六十公里的自行车。"),
    ("儿童头盔", "保护骑车孩子的头部。"),
    ("登山鞋", "雨天走山路也不容易滑倒。"),
    ("防水外套", "挡风挡雨的户外衣服。"),
    ("羽绒睡袋", "冬天露营时很保暖。"),
    ("咖啡机", "每天早上自动煮好一杯咖啡。"),
    ("咖啡豆", "来自云南的深度烘焙豆子。"),
    ("龙井绿茶", "杭州西湖附近种植的春茶。"),
    ("电饭锅", "糙米白米都能煮得很香。"),
    ("菜刀", "切肉切菜都很锋利的厨房刀具。"),
    ("汉语词典", "解释八万个词语的用法。"),
    ("蓝牙耳机", "没有电线的耳机,可以听音乐和打电话。"),
    ("접이식 자전거", "출퇴근에 좋은 가벼운 자전거입니다."),
    ("전기 자전거", "언덕도 쉽게 오르는 배터리 자전거입니다."),
    ("어린이 헬멧", "자전거를 타는 아이의 머리를 보호합니다."),
    ("등산화", "비 오는 산길에서도 미끄럽지 않은 신발입니다."),
    ("방수 재킷", "비와 바람을 막아 주는 옷입니다."),
    ("겨울 침낭", "추운 캠핑에서도 따뜻하게 잡니다."),
    ("커피 머신", "아침마다 커피를 자동으로 내려 줍니다."),
    ("원두커피", "에티오피아에서 온 진하게 볶은 원두입니다."),
    ("녹차", "제주도에서 자란 어린 잎으로 만들었습니다."),
    ("전기밥솥", "현미와 백미를 맛있게 짓는 부엌 도구입니다."),
    ("식칼", "채소와 생선을 잘 써는 부엌 칼입니다."),
    ("한국어 사전", "팔만 단어의 뜻과 쓰임을 설명합니다."),
    ("무선 이어폰", "선이 없는 이어폰으로 음악을 듣습니다."),
]

JUDGED = [
    ("折りたたみ自転車", "折りたたみ自転車"),
    ("電気 自転車", "電気自転車"),
    ("坂道の自転車", "電気自転車"),
    ("ヘルメット", "子供用ヘルメット"),
    ("靴", "登山靴"),
    ("雨 靴", "登山靴"),
    ("コーヒー", "コーヒーメーカー|コーヒー豆"),
    ("コーヒー 機械", "コーヒーメーカー"),
    ("静岡のお茶", "緑茶"),
    ("茶碗", "抹茶茶碗"),
    ("玄米", "炊飯器"),
    ("辞典", "日本語辞典"),
    ("家族キャンプ", "四人用テント"),
    ("折叠自行车", "折叠自行车"),
    ("电动 自行车", "电动自行车"),
    ("地铁自行车", "折叠自行车"),
    ("头盔", "儿童头盔"),
    ("咖啡", "咖啡机|咖啡豆"),
    ("咖啡 云南", "咖啡豆"),
    ("绿茶", "龙井绿茶"),
    ("厨房刀具", "菜刀"),
    ("睡袋", "羽绒睡袋"),
    ("蓝牙耳机", "蓝牙耳机"),
    ("词典", "汉语词典"),
    ("전기 자전거", "전기 자전거"),
    ("접이식자전거", "접이식 자전거"),
    ("헬멧", "어린이 헬멧"),
    ("커피", "커피 머신|원두커피"),
    ("현미", "전기밥솥"),
    ("부엌 칼", "식칼"),
    ("이어폰", "무선 이어폰"),
    ("사전", "한국어 사전"),
]


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str]]:
    connection: apsw.Connection = make(CJK, [(title, body, "c", 1.0, 0) for title, body in RECORDS])
    engine = SearchEngine(CJK)
    return {
        query: titles(connection, engine.search(connection, SearchRequest(query, take=3)))
        for query, _ in JUDGED
    }


def test_most_right_answers_are_first(answers: dict[str, list[str]]) -> None:
    wrong = {
        query: answers[query]
        for query, right in JUDGED
        if not answers[query] or answers[query][0] not in right.split("|")
    }
    assert len(wrong) <= len(JUDGED) // 10, wrong


def test_nearly_all_are_among_the_first_three(answers: dict[str, list[str]]) -> None:
    missed = {
        query: answers[query] for query, right in JUDGED if not set(answers[query]) & set(right.split("|"))
    }
    assert len(missed) <= 2, missed
