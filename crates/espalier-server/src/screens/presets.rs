//! The texts that come with the product, and the kinds of text that there are. There is no preset news: what is not
//! fetched from somewhere is no news.

/// A category, its subcategories, and the texts of each: a line, or a question and its answer.
pub const KINDS: &[(&str, &[(&str, &[Preset])])] = &[
    (
        "jokes",
        &[
            ("dad_jokes", DAD),
            ("programming_jokes", PROGRAMMING),
            ("clean_jokes", CLEAN),
        ],
    ),
    (
        "riddles",
        &[
            ("easy_riddles", EASY),
            ("logic_riddles", LOGIC),
            ("math_riddles", MATH),
        ],
    ),
    (
        "news",
        &[
            ("tech_news", &[]),
            ("world_news", &[]),
            ("science_news", &[]),
        ],
    ),
];

/// A text that comes with the product.
pub struct Preset {
    /// What is said or asked.
    pub text: &'static str,
    /// The answer of a riddle.
    pub answer: Option<&'static str>,
}

const fn line(text: &'static str) -> Preset {
    Preset { text, answer: None }
}

const fn riddle(text: &'static str, answer: &'static str) -> Preset {
    Preset {
        text,
        answer: Some(answer),
    }
}

const DAD: &[Preset] = &[
    line(
        "I asked the thermometer how it felt. It said: it depends on the day, but I have my ups and downs.",
    ),
    line(
        "My plant sensor sends me a message when it is dry. Finally somebody in this house who says so.",
    ),
];

const PROGRAMMING: &[Preset] = &[
    line("The board said it was done. It had not said with what."),
    line("I gave the loop a break. It has not come back since."),
];

const CLEAN: &[Preset] = &[
    line("The clock on the wall stopped. For two minutes a day it is the most exact thing we own."),
    line("The fridge light and I have an agreement: it works whenever I look."),
];

const EASY: &[Preset] = &[
    riddle(
        "I follow you all day and leave when the lamp goes out. What am I?",
        "Your shadow.",
    ),
    riddle(
        "The more of me you take, the more of me stays behind you. What am I?",
        "Steps.",
    ),
];

const LOGIC: &[Preset] = &[
    riddle(
        "Three switches, one lamp in the next room, one look. How do you find the right switch?",
        "One on for a while, then off; another on. Dark and warm: the first. Light: the second. Dark and cold: the third.",
    ),
    riddle(
        "Two boxes, each with a label, and both labels are wrong: 'red' and 'blue'. How many must you open to know both?",
        "None. They are the other way round.",
    ),
];

const MATH: &[Preset] = &[
    riddle(
        "A sensor reports every 5 minutes, first at noon. How many reports are there until one o'clock, both counted?",
        "Thirteen.",
    ),
    riddle("Which number is 7 more than half of itself?", "Fourteen."),
];

/// The texts of a kind; nothing when there is no such kind.
pub fn of(category: &str, subcategory: &str) -> Option<&'static [Preset]> {
    let (_, subcategories) = KINDS.iter().find(|(name, _)| *name == category)?;
    let (_, texts) = subcategories
        .iter()
        .find(|(name, _)| *name == subcategory)?;
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn riddles_have_answers_and_news_is_not_invented() {
        for (category, subcategories) in KINDS {
            for (subcategory, texts) in *subcategories {
                assert_eq!(texts.is_empty(), *category == "news", "{subcategory}");
                let answered = texts
                    .iter()
                    .all(|text| text.answer.is_some() == (*category == "riddles"));
                assert!(answered, "{subcategory}");
            }
        }
        assert!(of("jokes", "world_news").is_none());
    }
}
