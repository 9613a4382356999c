//! Names: one written in two ways, and other people's.

use jntajis::codec::mj_shrink::{MJShrinkScheme, MJShrinkSchemes, mj_shrink_candidates};
use musubi_matching::{NameForm, compare_names};
use unicode_normalization::UnicodeNormalization as _;

use crate::tally::{Pair, Tally};

const FAMILIES: &str = "佐藤 サトウ,鈴木 スズキ,高橋 タカハシ,田中 タナカ,渡辺 ワタナベ,伊藤 イトウ,小林 コバヤシ,加藤 カトウ,吉田 ヨシダ,山田 ヤマダ,\
佐々木 ササキ,斎藤 サイトウ,斉藤 サイトウ,清水 シミズ,山崎 ヤマザキ,阿部 アベ,石橋 イシバシ,池田 イケダ,中島 ナカジマ,小川 オガワ,前田 マエダ,岡崎 オカザキ,\
浜田 ハマダ,広瀬 ヒロセ,沢田 サワダ,桜井 サクライ,富田 トミタ,峰岸 ミネギシ,滝沢 タキザワ,竜崎 リュウザキ,関 セキ,黒田 クロダ,横田 ヨコタ,\
国分 コクブ,塩野 シオノ,辻 ツジ,葛西 カサイ,柳沢 ヤナギサワ,桑原 クワバラ,鶴見 ツルミ,渕上 フチガミ,館山 タテヤマ,秋元 アキモト,梅原 ウメハラ,\
条 ジョウ,曽根 ソネ,藪内 ヤブウチ,鴨下 カモシタ,服部 ハットリ,久我 クガ,条川 ジョウカワ,小野寺 オノデラ,一ノ瀬 イチノセ,鬼頭 キトウ,土田 ツチダ,大木 オオキ";
const GIVENS: &str = "真理 マリ,恵 メグミ,栄治 エイジ,京子 キョウコ,翔太 ショウタ,龍之介 リュウノスケ,亮 リョウ,花子 ハナコ,未来 ミライ,ひより ヒヨリ,\
さくら サクラ,カレン カレン,みゆき ミユキ,実 ミノル,広子 ヒロコ,弥生 ヤヨイ,瑞穂 ミズホ,静香 シズカ,礼子 レイコ,学 マナブ,健一 ケンイチ,健二 ケンジ,\
千鶴 チヅル,操 ミサヲ,祐一 ユウイチ,裕子 ユウコ,徹 トオル,愛 アイ,蔵人 クランド,寿男 ヒサオ,百合 ユリ,美津江 ミツエ,勇 イサム,俊 シュン,純 ジュン";

/// 常用漢字 and 人名用漢字 with their old forms, in everyday use in names.
const EVERYDAY: &str = "高髙 崎﨑 辺邊 辺邉 斎齋 斉齊 浜濱 浜濵 島嶋 島嶌 広廣 沢澤 桜櫻 富冨 峰峯 滝瀧 竜龍 関關 黒黑 横橫 国國 塩鹽 吉𠮷 恵惠 真眞 栄榮 \
柳栁 桑桒 鶴靏 鶴靍 渕淵 淵渊 館舘 秋穐 梅楳 条條 曽曾 藪薮 徳德 実實 寿壽 弥彌 穂穗 静靜 礼禮 学學 蔵藏 満滿 豊豐 緑綠 郎郞 徹徹 亀龜 \
鉄鐵 双雙 壮壯 奥奧 応應 旧舊 児兒 万萬 与與 乗乘 予豫 争爭 亜亞 伝傳 体體 円圓 写寫 医醫 参參 収收 台臺 号號 団團 図圖 圧壓 塁壘 声聲 \
売賣 変變 宝寶 実實 寛寬 対對 専專 将將 尽盡 属屬 岳嶽 巣巢 帯帶 庁廳 廃廢 弁辨 当當 径徑 従從 戦戰 戸戶 戻戾 払拂 抜拔 択擇 担擔 拝拜 拠據 拡擴 \
挙擧 揺搖 摂攝 敎教 数數 断斷 昼晝 暁曉 暦曆 会會 来來 枢樞 栃杤 桧檜 楽樂 楼樓 様樣 権權 欧歐 歓歡 歩步 歯齒 残殘 毎每 気氣 浄淨 浅淺 渋澁 渓溪 温溫 \
湾灣 湿濕 潜潛 瀬瀨 灯燈 炉爐 点點 為爲 焼燒 犠犧 独獨 狭狹 猟獵 献獻 獣獸 瑶瑤 瓶甁 画畫 畳疊 発發 盗盜 県縣 砕碎 祢禰 禄祿 禅禪 秘祕 称稱 稲稻 \
穏穩 窃竊 粛肅 経經 絵繪 継繼 続續 総總 縁緣 縄繩 縦縱 繊纖 聴聽 脳腦 臓臟 舎舍 芸藝 荘莊 薫薰 薬藥 虚虛 虫蟲 蚕蠶 蛍螢 衛衞 装裝 覚覺 観觀 触觸 訳譯 \
証證 読讀 誉譽 謡謠 譲讓 賛贊 践踐 転轉 軽輕 辞辭 逓遞 遅遲 遥遙 郷鄕 酔醉 醸釀 釈釋 鉱鑛 銭錢 鋳鑄 錬鍊 録錄 鎮鎭 閲閱 陥陷 険險 隠隱 隷隸 雑雜 霊靈 青靑 \
顔顏 顕顯 頼賴 類類 駅驛 駆驅 騒騷 験驗 髄髓 髪髮 闘鬪 鶏鷄 麦麥 黄黃 黙默 斎齋 齢齡 凜凛 巌巖 晃晄 亘亙 槙槇 尭堯 萌萠 穣穰 鴎鷗 桝枡 舟舟 剣劍 剣劔 \
剣釼 船舩 松枩 村邨 橋𣘺 橋槗 昇曻 土圡 泰𣳾 宜冝 煕熙 彦彥 晋晉 籠篭 涌湧 苅刈 栢柏 嵜崎 兎兔 讃讚 迪廸 卯夘 喜㐂 歳歲 圀国 薗園 埜野 嶽岳 珍珎 翠翆 隣鄰 釜釡";

const LOOK_ALIKES: &str = "土士 未末 大太 大犬 己巳 千干 斉斎 齊齋 斉齋 斎齊 崎埼 島鳥 島烏 裕祐 玲怜 崇祟 東束 原厚 郎朗 晴睛 柿椎 幸辛 萩荻 田由 八人 力刀 二三 一二 \
治冶 綱網 微徴 鈴玲 辻込 川州 木本 日目 王玉 藤籐 博傳 昴昂 間問 師帥 石右 貝見 今令 牛午 友反 井丼 夫失 矢失 宮官 天夫 水氷 永氷 古吉 名各 宜宣 享亨 爪瓜 \
ソン シツ マム クタ ロコ ハパ 口ロ 二ニ 力カ 夕タ 工エ 八ハ 一ー 千チ 卜ト 書晝 玉王 功切 輝煇 崎碕 磯礒 裏裡";

const COMPATIBILITY: &str = "神神 福福 晴晴 猪猪 都都 塚塚 隆隆 諸諸 靖靖 祥祥 羽羽 精精 飯飯 館館 鶴鶴 海海 渚渚 琢琢 祐祐 祖祖 節節 勉勉 梅梅 逸逸 敏敏 既既 朗朗 郞郞 ⽥田 ⾼高";

fn people() -> Vec<[&'static str; 4]> {
    let split = |pair: &'static str| pair.split_once(' ').unwrap_or((pair, ""));
    let givens: Vec<_> = GIVENS.split(',').map(split).collect();
    let mut people = vec![];
    for (index, family) in FAMILIES.split(',').map(split).enumerate() {
        for step in 0..5 {
            let given = givens[(index * 3 + step * 7) % givens.len()];
            people.push([family.0, family.1, given.0, given.1]);
        }
    }
    people
}

fn pairs_of(table: &'static str) -> impl Iterator<Item = (char, char)> {
    table.split_whitespace().filter_map(|pair| {
        let mut pair = pair.chars();
        pair.next().zip(pair.next())
    })
}

fn hiragana(text: &str) -> String {
    let fold = |c: char| match c {
        'ァ'..='ヶ' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        _ => c,
    };
    text.chars().map(fold).collect()
}

/// Half width, its voicing marks as characters of their own.
fn half_width(text: &str) -> String {
    const FULL: &str = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォッャュョー゙゚";
    const HALF: &str = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｯｬｭｮｰﾞﾟ";
    text.nfd()
        .map(|c| FULL.chars().position(|f| f == c).and_then(|at| HALF.chars().nth(at)).unwrap_or(c))
        .collect()
}

/// As banks write: no small kana, no ヲ.
fn bank(text: &str) -> String {
    let fold = |c: char| {
        "ァアィイゥウェエォオッツャヤュユョヨヲオ"
            .chars()
            .collect::<Vec<_>>()
            .chunks(2)
            .find(|p| p[0] == c)
            .map_or(c, |p| p[1])
    };
    text.chars().map(fold).collect()
}

/// Every pair that the MJ shrink map bases on family-register notices or JIS unification.
fn register_forms() -> Vec<(char, char)> {
    let strong = MJShrinkSchemes::builder()
        .with(MJShrinkScheme::MOJFamilyRegisterActRelatedNotice)
        .with(MJShrinkScheme::JISIncorporationUCSUnificationRule);
    let forms = |from: char| {
        let candidates = mj_shrink_candidates(from.to_string(), strong);
        candidates.filter_map(|c| c.chars().next()).filter(move |to| *to != from).map(move |to| (from, to))
    };
    ('\u{3400}'..='\u{323AF}').flat_map(forms).collect()
}

pub(crate) fn tally(same: &mut Tally, different: &mut Tally) {
    let mut equal = |kind, left: String, right: String| {
        if left != right {
            same.add(&Pair { kind, left: left.clone(), right: right.clone() }, compare_names(&left, &right));
        }
    };
    let people = people();
    for [family, family_kana, given, given_kana] in &people {
        let (name, kana) = (format!("{family} {given}"), format!("{family_kana} {given_kana}"));
        for space in ["", "　", "  ", "\u{a0}", "\u{2009}"] {
            equal("spaces", name.clone(), format!("{family}{space}{given}"));
            equal("spaces", kana.clone(), format!("{family_kana}{space}{given_kana}"));
        }
        equal("spaces", name.clone(), format!(" {name}　"));
        equal("width", kana.clone(), half_width(&kana));
        equal("width", kana.clone(), half_width(&kana).replace(' ', "　"));
        equal("hiragana", kana.clone(), hiragana(&kana));
        equal("hiragana", half_width(&kana), hiragana(&kana));
        equal("hiragana", name.clone(), format!("{family} {}", hiragana(given)));
        equal("combining", kana.clone(), kana.nfd().collect());
        equal("combining", hiragana(&kana), kana.nfd().collect());
        equal("combining", name.clone(), name.nfd().collect());
        equal("zengin", kana.clone(), half_width(&bank(&kana)));
        equal("zengin", kana.clone(), bank(&kana));
        equal("zengin", hiragana(&kana), half_width(&bank(&kana)).replace(' ', ""));
        equal("zengin", kana.clone(), half_width(&bank(&kana)).replace('ｰ', "-"));
        let selected: String =
            name.chars().flat_map(|c| if c == ' ' { vec![c] } else { vec![c, '\u{E0101}'] }).collect();
        equal("ivs", name.clone(), selected);
        equal("ivs", name.clone(), format!("{family}\u{FE00} {given}"));
        if name.contains('々') {
            equal("iteration", name.clone(), name.replace("佐々", "佐佐"));
        }
        for (new, old) in pairs_of(EVERYDAY) {
            if name.contains(new) {
                equal("old_new", name.clone(), name.replace(new, &old.to_string()));
                equal("old_new", name.replace(' ', ""), name.replace(new, &old.to_string()));
            }
        }
    }
    for (compatible, unified) in pairs_of(COMPATIBILITY) {
        equal("compatibility", format!("{compatible}田 光"), format!("{unified}田 光"));
        equal("compatibility", format!("大木 {compatible}子"), format!("大木{unified}子"));
    }
    for (new, old) in pairs_of(EVERYDAY) {
        if (new, old) != ('栃', '杤') {
            equal("everyday_itaiji", format!("{new}山 光"), format!("{old}山 光"));
            equal("everyday_itaiji", format!("山田 {old}子"), format!("山田{new}子"));
        }
    }
    for (from, to) in register_forms() {
        equal("rare_itaiji", format!("{from}山 光"), format!("{to}山 光"));
    }
    for (left, right) in LATIN {
        equal("latin", left.to_owned(), right.to_owned());
    }

    for (kind, left, right) in OF_ONE_PERSON {
        equal(kind, (*left).to_owned(), (*right).to_owned());
    }
    for (certificate, flags, master) in REPLACED {
        let pair = Pair { kind: "replaced", left: (*certificate).to_owned(), right: (*master).to_owned() };
        same.add(&pair, NameForm::with_replaced(certificate, flags).compare(&NameForm::new(master)));
    }

    for (certificate, flags, master) in [
        ("トウ田　光", "110000", "鄧田 治"),
        ("登田　光", "10000", "鄧山 光"),
        ("登田　光", "00000", "鄧田 光"),
        ("トウ田　光", "110000", "鄧鄧田 光"),
    ] {
        let pair = Pair { kind: "replaced", left: certificate.to_owned(), right: master.to_owned() };
        different.add(&pair, NameForm::with_replaced(certificate, flags).compare(&NameForm::new(master)));
    }
    let mut other = |kind, left: String, right: String| {
        if left != right {
            different
                .add(&Pair { kind, left: left.clone(), right: right.clone() }, compare_names(&left, &right));
        }
    };
    for (l, r) in pairs_of(LOOK_ALIKES) {
        for (left, right) in
            [(format!("{l}山 光"), format!("{r}山 光")), (format!("山田 {l}子"), format!("山田{r}子"))]
        {
            other("look_alike", left, right);
        }
    }
    for (index, [family, family_kana, given, given_kana]) in people.iter().enumerate() {
        let [other_family, other_family_kana, other_given, other_given_kana] =
            people[(index + 6) % people.len()];
        let name = format!("{family} {given}");
        if *given != other_given {
            other("given_name", name.clone(), format!("{family} {other_given}"));
            other(
                "given_name",
                format!("{family_kana} {given_kana}"),
                half_width(&format!("{family_kana} {other_given_kana}")),
            );
        }
        if family_kana != &other_family_kana {
            other("family_name", name.clone(), format!("{other_family} {given}"));
        }
        for (suffix, instead) in [("一", "二"), ("子", "美"), ("太", "大"), ("治", "冶")] {
            other("brother", format!("{family} {given}{suffix}"), format!("{family}{given}{instead}"));
        }
        other("brother", name.clone(), format!("{name}子"));
        let kana = format!("{family_kana} {given_kana}");
        for (from, to) in MORAE.iter().filter(|(from, _)| kana.contains(from)) {
            let another = kana.replacen(from, to, 1);
            other("mora", kana.clone(), another.clone());
            other("mora", kana.clone(), half_width(&bank(&another)));
            other("mora", hiragana(&kana), another);
        }
        other(
            "unknown",
            name.clone(),
            name.replacen(&given.chars().take(1).collect::<String>(), "\u{E000}", 1),
        );
        other("script", name.clone(), kana);
    }
    for (left, right) in [
        ("スミス ジョン", "スミス ジャン"),
        ("スミス ジョン", "ジャン スミス"),
        ("スミス ジョン ポール", "スミス ポーラ"),
        ("永田 栄治", "栄治 中田"),
        ("永田 栄治", "永田 栄治子"),
        ("渡〇 栄治", "渡邉 栄二"),
    ] {
        other("sounds_alike", left.to_owned(), right.to_owned());
    }
    for (left, right) in [
        ("KIM SUN GHO", "KIM SUNG HO"),
        ("SMITH JOHN PAUL", "SMITH JOHN PETER"),
        ("ĐẶNG THỊ HOA", "DANG THI HOAI"),
        ("SMITH JOHN", "SMITH JOAN"),
        ("SMITH JOHN PAUL", "SMITH JOHN"),
        ("NGUYEN VAN AN", "グエン ヴァン アン"),
        ("LEE MIN", "LEE MING"),
    ] {
        other("latin", left.to_owned(), right.to_owned());
    }
}

/// One person, written in two ways that rules may equal or leave to a person.
const OF_ONE_PERSON: &[(&str, &str, &str)] = &[
    ("foreign", "NGUYEN VAN AN", "NGUYEN VANAN"),
    ("foreign", "NGUYENVANAN", "NGUYEN VAN AN"),
    ("foreign", "NGUYỄN VĂN AN", "Nguyen Van An"),
    ("foreign", "ĐẶNG THỊ HOA", "DANG THI HOA"),
    ("foreign", "SMITH JOHN", "Mr. John Smith"),
    ("foreign", "SMITH JOHN PAUL", "SMITH JOHN P"),
    ("foreign", "SMITH JOHN PAUL", "SMITH J P"),
    ("foreign", "SMITH JOHN PAUL", "John Smith"),
    ("foreign", "SMITH JOHN JR", "SMITH JOHN"),
    ("foreign", "MÜLLER JÜRGEN", "MUELLER JUERGEN"),
    ("foreign", "SØRENSEN ÅSE", "SORENSEN ASE"),
    ("foreign", "WEIß ANNA", "WEISS ANNA"),
    ("foreign", "MARY-ANN O’BRIEN", "OBRIEN MARYANN"),
    ("foreign", "DE LA CRUZ JUAN", "DELACRUZ JUAN"),
    ("foreign", "MCDONALD RONALD", "Mc Donald Ronald"),
    ("foreign", "AL-HASSAN OMAR", "ALHASSAN OMAR"),
    ("foreign", "ＫＩＭ　ＭＩＮＨＯ", "Kim Min-ho"),
    ("foreign", "SMITH JOHN", "スミス ジョン"),
    ("foreign", "NGUYEN VAN AN", "山田 花子"),
    ("foreign", "NGUYEN VAN AN（山田 花子）", "山田 花子"),
    ("foreign", "NGUYEN VAN AN（通称：山田 花子）", "山田花子"),
    ("foreign", "王 小明（ワン シャオミン）", "王小明"),
    ("foreign", "スミス ジョン", "ジョン・スミス"),
    ("foreign", "スミス ジョン", "ｼﾞﾖﾝ ｽﾐｽ"),
    ("foreign", "スミスジョン", "ジョン スミス"),
    ("foreign", "スミス ジョン ポール", "スミス ジョン"),
    ("foreign", "ジャン＝ピエール デュポン", "ジャンピエール・デュポン"),
    ("foreign", "ヴィクトリア スミス", "ビクトリア スミス"),
    ("foreign", "ミュラー ハンス", "ﾐﾕﾗ ﾊﾝｽ"),
    ("foreign", "グエン ヴァン アン", "グエン バン アン"),
    ("spelling", "永田 栄治", "栄治 永田"),
    ("spelling", "永田 栄治", "永田 栄治様"),
    ("spelling", "ナガタ エイジ", "エイジ ナガタ"),
    ("spelling", "サトウ ショーコ", "ｻﾄｳ ｼﾖｺ"),
    ("spelling", "一ノ瀬 翔", "一之瀬 翔"),
    ("spelling", "一の瀬 翔", "一ノ瀬 翔"),
    ("spelling", "渡辺 栄治（ワタナベ エイジ）", "渡辺 栄治"),
    ("spelling", "佐々木 花子", "佐〻木 花子"),
    ("spelling", "大須賀 花子", "大須賀花子 様"),
    ("placeholder", "渡●栄治", "渡邉栄治"),
    ("placeholder", "渡〇 栄治", "渡邉 栄治"),
    ("placeholder", "渡○ 栄治", "渡邉 栄治"),
    ("placeholder", "渡□ 栄治", "渡邉 栄治"),
    ("placeholder", "渡＿ 栄治", "渡邉 栄治"),
    ("placeholder", "渡※ 栄治", "渡邉 栄治"),
    ("placeholder", "渡？ 栄治", "渡邉 栄治"),
    ("placeholder", "渡＊ 栄治", "渡邉 栄治"),
    ("placeholder", "渡\u{E003} 栄治", "渡邉 栄治"),
    ("placeholder", "渡\u{FFFD} 栄治", "渡邉 栄治"),
    ("placeholder", "●● 栄治", "渡邉 栄治"),
];

/// Names of certificates with the places of replaced characters, and the master's.
const REPLACED: &[(&str, &str, &str)] = &[
    ("高橋　光", "10000", "髙橋 光"),
    ("吉田　光", "10000", "𠮷田 光"),
    ("登田　光", "10000", "鄧田 光"),
    ("トウ田　光", "110000", "鄧田 光"),
    ("とう田　光", "110000", "鄧田光"),
    ("鄧田　ホノオ", "000111", "鄧田 𤇆"),
    ("山田　木夫", "00010", "山田 樹夫"),
    ("〓田　光", "10000", "鄧田 光"),
    ("柳　光", "100", "栁 光"),
];

/// Each makes another reading, also as banks write.
const MORAE: [(&str, &str); 11] = [
    ("シ", "ツ"),
    ("ソ", "ン"),
    ("カ", "ガ"),
    ("タ", "ダ"),
    ("ハ", "バ"),
    ("ミ", "リ"),
    ("ナ", "ナナ"),
    ("ウ", ""),
    ("イ", "エ"),
    ("ラ", "ア"),
    ("コ", "ヨ"),
];

const LATIN: [(&str, &str); 6] = [
    ("NGUYEN VAN AN", "An Nguyen Van"),
    ("SMITH JOHN", "Smith, John"),
    ("ＳＭＩＴＨ　ＪＯＨＮ", "John Smith"),
    ("O'BRIEN MARY-ANN", "Mary Ann OBrien"),
    ("MÜLLER JÜRGEN", "MULLER JURGEN"),
    ("DE LA CRUZ JUAN", "Juan de la Cruz"),
];
