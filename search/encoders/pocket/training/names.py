"""Names by which held-out pictures and sounds are asked for in seven languages. Written for this; no translation was ever trained on."""

from __future__ import annotations

PICTURES = {
    "English": (
        "dog", "bicycle", "beach", "snow", "horse", "car", "ball", "pool", "mountain", "skateboard", "boat", "tree", "baby",
        "motorcycle", "street", "guitar", "bird", "bus", "camera", "bench", "swing", "trampoline", "surfer", "waterfall", "basketball",
        "tent", "bridge", "flower", "umbrella", "fire",
    ),
    "German": (
        "Hund", "Fahrrad", "Strand", "Schnee", "Pferd", "Auto", "Ball", "Schwimmbecken", "Berg", "Skateboard", "Boot", "Baum", "Baby",
        "Motorrad", "Straße", "Gitarre", "Vogel", "Bus", "Kamera", "Bank zum Sitzen", "Schaukel", "Trampolin", "Surfer", "Wasserfall", "Basketball",
        "Zelt", "Brücke", "Blume", "Regenschirm", "Feuer",
    ),
    "Spanish": (
        "perro", "bicicleta", "playa", "nieve", "caballo", "coche", "pelota", "piscina", "montaña", "monopatín", "barco", "árbol", "bebé",
        "motocicleta", "calle", "guitarra", "pájaro", "autobús", "cámara", "banco para sentarse", "columpio", "cama elástica", "surfista", "cascada", "baloncesto",
        "tienda de campaña", "puente", "flor", "paraguas", "fuego",
    ),
    "French": (
        "chien", "vélo", "plage", "neige", "cheval", "voiture", "ballon", "piscine", "montagne", "planche à roulettes", "bateau", "arbre", "bébé",
        "moto", "rue", "guitare", "oiseau", "bus", "appareil photo", "banc", "balançoire", "trampoline", "surfeur", "cascade", "basket-ball",
        "tente", "pont", "fleur", "parapluie", "feu",
    ),
    "Swedish": (
        "hund", "cykel", "strand", "snö", "häst", "bil", "boll", "simbassäng", "berg", "skateboard", "båt", "träd", "bebis",
        "motorcykel", "gata", "gitarr", "fågel", "buss", "kamera", "parkbänk", "gunga", "studsmatta", "surfare", "vattenfall", "basket",
        "tält", "bro", "blomma", "paraply", "eld",
    ),
    "Russian": (
        "собака", "велосипед", "пляж", "снег", "лошадь", "машина", "мяч", "бассейн", "гора", "скейтборд", "лодка", "дерево", "младенец",
        "мотоцикл", "улица", "гитара", "птица", "автобус", "фотоаппарат", "скамейка", "качели", "батут", "сёрфер", "водопад", "баскетбол",
        "палатка", "мост", "цветок", "зонт", "огонь",
    ),
    "Chinese": (
        "狗", "自行车", "海滩", "雪", "马", "汽车", "球", "游泳池", "山", "滑板", "船", "树", "婴儿",
        "摩托车", "街道", "吉他", "鸟", "公共汽车", "照相机", "长椅", "秋千", "蹦床", "冲浪者", "瀑布", "篮球",
        "帐篷", "桥", "花", "雨伞", "火",
    ),
}  # fmt: skip
"""What pictures show; a picture shows what two of its captions call by its English name."""

SOUNDS = {
    "English": (
        "baby cry", "chainsaw", "clock tick", "dog bark", "fire crackling", "helicopter", "person sneeze", "rain", "rooster", "sea waves",
    ),
    "German": (
        "weinendes Baby", "Kettensäge", "Ticken einer Uhr", "Hundegebell", "knisterndes Feuer", "Hubschrauber", "Niesen", "Regen", "Hahn", "Meereswellen",
    ),
    "Spanish": (
        "llanto de bebé", "motosierra", "tictac de un reloj", "ladrido de perro", "crepitar del fuego", "helicóptero", "estornudo", "lluvia", "gallo", "olas del mar",
    ),
    "French": (
        "pleurs de bébé", "tronçonneuse", "tic-tac d'une horloge", "aboiement de chien", "crépitement du feu", "hélicoptère", "éternuement", "pluie", "coq", "vagues de la mer",
    ),
    "Swedish": (
        "gråtande bebis", "motorsåg", "tickande klocka", "hundskall", "sprakande eld", "helikopter", "nysning", "regn", "tupp", "havsvågor",
    ),
    "Russian": (
        "плач младенца", "бензопила", "тиканье часов", "лай собаки", "треск огня", "вертолёт", "чихание", "дождь", "петух", "морские волны",
    ),
    "Chinese": (
        "婴儿哭声", "电锯", "时钟滴答声", "狗叫声", "火焰噼啪声", "直升机", "打喷嚏", "雨声", "公鸡打鸣", "海浪声",
    ),
}  # fmt: skip
"""The classes of ESC-10, in the order of their labels."""
