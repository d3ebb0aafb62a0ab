//! Word lists. A form after a slash is irregular: the plural of a noun, the past of a verb. No form belongs to two
//! words, no noun has equal singular and plural, no verb equal base and past.

pub const MALE_NAMES: &str = "Tom John Peter Paul David Robert Henry Oscar Victor Simon Martin Felix Hugo Leo Max \
    Arthur Edgar Bruno Oliver Daniel";
pub const FEMALE_NAMES: &str = "Anna Mary Clara Emma Julia Laura Nora Alice Helen Sarah Lucy Martha Rosa Sophie Elsa \
    Ida Greta Olivia Diana Vera";

pub const MEN: &str = "boy man/men king uncle father brother prince monk grandfather waiter actor son nephew duke \
    husband";
pub const WOMEN: &str = "girl woman/women queen aunt mother sister princess nun grandmother waitress actress daughter \
    niece duchess wife/wives";
/// People of either gender.
pub const PEOPLE: &str = "farmer baker nurse pilot doctor teacher lawyer painter singer dancer writer miller sailor \
    hunter gardener tailor butcher carpenter builder clerk captain soldier student artist poet dentist tourist \
    neighbour friend child/children thief/thieves scientist chemist mayor plumber driver reporter editor engineer \
    musician shepherd potter weaver merchant barber";
pub const ANIMALS: &str = "dog cat horse cow goat fox wolf/wolves bear rabbit mouse/mice goose/geese swan crow owl hen \
    pig donkey lion tiger monkey parrot turtle frog spider";
pub const THINGS: &str = "key box lamp letter book bottle basket table chair hat coat shoe ring coin cup plate \
    knife/knives spoon fork candle mirror clock bag rope hammer brush pen pencil ticket camera radio bicycle wagon \
    barrel bucket blanket pillow carpet curtain picture vase bell drum flute guitar violin trumpet kettle pot jar \
    ladder shovel axe helmet shield sword lantern doll kite ball loaf/loaves scarf/scarves glove jacket umbrella \
    suitcase parcel engine wheel hook pipe tray flag";
pub const PLACES: &str = "mill harbour garden bridge castle tower church school library market station hotel farm barn \
    forest river lake hill valley village island beach bakery museum theatre cottage palace temple fountain cellar";

/// Verbs of people and animals, without an object.
pub const ACTING: &str = "sleep/slept laugh smile cry wait shout whisper yawn kneel/knelt cough sneeze snore blush \
    giggle weep/wept sigh stumble limp shiver nod/nodded wander relax hesitate rejoice faint groan frown grin/grinned \
    bow swim/swam sit/sat creep/crept";
/// Verbs of people, with a person or animal as object.
pub const SOCIAL: &str = "admire praise help thank blame visit teach/taught warn greet respect defend insult criticise \
    forgive/forgave feed/fed understand/understood comfort encourage describe remind disappoint accuse meet/met \
    remember forget/forgot hug/hugged";
/// Verbs of people and animals, with a person or animal as object.
pub const SENSING: &str = "see/saw hear/heard follow like love hate trust scare surprise amuse know/knew watch";
/// Verbs of people, always with a thing as object.
pub const HANDLING: &str = "carry find/found buy/bought bring/brought repair acquire borrow make/made use \
    wrap/wrapped lift take/took hold/held retrieve fetch examine discover inspect destroy damage restore receive select \
    decorate remove mention own want need purchase possess obtain grab/grabbed send/sent";
/// Verbs of things.
pub const HAPPENING: &str = "rattle fade rust melt crack glow leak creak sparkle wobble squeak crumble topple glitter \
    break/broke shine/shone";
/// Verbs with `to` and a place.
pub const MOVING: &str = "go/went return travel hurry march ride/rode come/came rush";
/// Verbs with a clause.
pub const SAYING: &str = "say/said think/thought believe hope claim announce complain";
/// Verbs that make sense with `himself`.
pub const REFLEXIVE: &str = "admire praise help blame teach warn respect defend insult criticise forgive feed \
    understand comfort encourage describe remind disappoint accuse see hear like love hate trust scare surprise amuse \
    know watch";

pub const LIVING_ADJECTIVES: &str = "tall young kind brave happy tired clever calm proud hungry lazy quiet strong weak \
    gentle lonely angry famous old small";
pub const THING_ADJECTIVES: &str = "red green blue yellow heavy broken clean dirty empty expensive cheap wooden round \
    shiny strange useful old small large new";
pub const PLACE_ADJECTIVES: &str = "old small large new quiet famous distant narrow dark sunny empty strange";

/// Adverbs between subject and verb, in any tense.
pub const ADVERBS: &str =
    "often always quietly slowly gladly quickly sometimes rarely calmly proudly suddenly carefully";
pub const PREPOSITIONS: &str = "near beside behind under opposite around";

pub const PAST_TIMES: [&str; 4] = ["yesterday", "last week", "last night", "last year"];
pub const PRESENT_TIMES: [&str; 4] = ["every day", "every morning", "nowadays", "these days"];
/// Excludes `every day`, which also fits the past: `every day she slept` is English, `nowadays she slept` is not.
pub const PRESENT_ONLY_TIMES: [&str; 2] = ["nowadays", "these days"];
pub const FUTURE_TIMES: [&str; 3] = ["tomorrow", "next week", "next year"];

pub const SINGULAR_DETERMINERS: [&str; 3] = ["this", "a", "every"];
pub const PLURAL_DETERMINERS: [&str; 6] = ["these", "those", "many", "several", "two", "some"];
