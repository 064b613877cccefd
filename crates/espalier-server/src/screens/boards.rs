//! What old boards read of their screen: where their pictures are, and texts, small enough for what they can hold.
//!
//! They parse the answer into 2,048 bytes, where each value takes 16 bytes and each text its length; so lists are cut to
//! what fits, and begin with whose turn it is: a board that shows only the first still shows one after the other.

use super::content::Item;
use super::images::Image;
use super::paint::BMP_BYTES;
use super::view::View;
use crate::clock::iso;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use utoipa::ToSchema;

/// What an answer may cost on a board, of 2,048 bytes.
const BUDGET: usize = 1_900;
/// What of it pictures may take where texts come, too.
const FOR_PICTURES: usize = 1_300;

/// What `GET /api/devices/{id}/content` answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardContent {
    /// The board, as it called itself.
    pub device_id: String,
    /// Now (RFC 3339, UTC).
    pub timestamp: String,
    /// What to show.
    pub dashboard_url: String,
    /// What to show when that fails.
    pub fallback_url: String,
    /// The pictures, whose turn it is first; as many as the board can hold.
    pub images: Vec<BoardImage>,
    /// Texts: category, subcategory, list.
    #[schema(value_type = Object)]
    pub content: Map<String, Value>,
    /// How many pictures there are altogether.
    pub total_images: usize,
    /// Where the list goes on, as `?offset=`; absent at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<usize>,
    /// Always `success`.
    pub status: &'static str,
}

/// One picture in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoardImage {
    /// Its name.
    pub filename: String,
    /// Where its pixels are.
    pub bmp_url: String,
    /// When it was uploaded.
    pub upload_date: String,
}

/// What `GET /api/devices/{id}/images-sequence` answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImagesSequence {
    /// Always true.
    pub success: bool,
    /// A sentence.
    pub message: String,
    /// The board, as it called itself.
    pub device_id: String,
    /// What to show.
    pub dashboard_url: String,
    /// What to show when that fails.
    pub fallback_url: String,
    /// The pictures, whose turn it is first; as many as the board can hold.
    pub assigned_images: Vec<SequenceImage>,
    /// The categories of texts that the board's screen has.
    pub content_categories: Vec<String>,
    /// How many pictures there are altogether.
    pub total_images: usize,
    /// Where the list goes on, as `?offset=`; absent at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<usize>,
}

/// One picture in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SequenceImage {
    /// Its id.
    pub id: String,
    /// Its name.
    pub filename: String,
    /// Where its pixels are.
    pub url: String,
    /// The same.
    pub bmp_url: String,
    /// Bytes of what is there.
    pub file_size: usize,
}

fn bmp_url(image: &Image) -> String {
    format!("/uploads/{}/bmp", image.name)
}

/// What a board without a screen of its own is told: nothing.
pub fn empty_content(id: &str, now: i64) -> BoardContent {
    BoardContent {
        device_id: id.to_owned(),
        timestamp: iso(now),
        dashboard_url: format!("/dashboards/{id}_current.bmp"),
        fallback_url: format!("/dashboards/{id}_fallback.bmp"),
        images: Vec::new(),
        content: Map::new(),
        total_images: 0,
        next_offset: None,
        status: "success",
    }
}

/// The same for the list of pictures.
pub fn empty_sequence(id: &str) -> ImagesSequence {
    ImagesSequence {
        success: true,
        message: "No pictures".to_owned(),
        device_id: id.to_owned(),
        dashboard_url: format!("/dashboards/{id}_current.bmp"),
        fallback_url: format!("/dashboards/{id}_fallback.bmp"),
        assigned_images: Vec::new(),
        content_categories: Vec::new(),
        total_images: 0,
        next_offset: None,
    }
}

/// A view's pictures from an offset on; without one from whose turn it is, then from the start again.
fn in_turn(view: &View, offset: Option<usize>, now: i64) -> (usize, Vec<&Image>) {
    let all = &view.pictures;
    match offset {
        Some(offset) => (offset, all.iter().skip(offset).collect()),
        None => {
            let first = view.turn(all.len(), now);
            (0, all[first..].iter().chain(&all[..first]).collect())
        }
    }
}

/// Takes as many pictures as fit, and at least one.
fn take<T: Serialize>(
    pictures: &[&Image],
    mut used: usize,
    most: usize,
    make: impl Fn(&Image) -> T,
) -> (Vec<T>, usize) {
    let mut taken = Vec::new();
    for image in pictures {
        let one = make(image);
        // Names of fields are kept once; they are counted with the frame.
        let cost = 16 + values_cost(&serde_json::to_value(&one).unwrap_or_default());
        if used + cost > most && !taken.is_empty() {
            break;
        }
        used += cost;
        taken.push(one);
    }
    (taken, used)
}

/// The content of a board's screen.
pub fn content(view: &View, id: &str, offset: Option<usize>, now: i64) -> BoardContent {
    let mut answer = empty_content(id, now);
    answer.total_images = view.pictures.len();
    let (from, pictures) = in_turn(view, offset, now);
    let frame = cost(&serde_json::to_value(&answer).unwrap_or_default()) + 60;
    let texts = offset.is_none() && !view.items.is_empty();
    let most = if texts { FOR_PICTURES } else { BUDGET };
    let (images, mut used) = take(&pictures, frame, most, |image| BoardImage {
        filename: image.name.clone(),
        bmp_url: bmp_url(image),
        upload_date: iso(image.created_at),
    });
    answer.next_offset = next(offset, from, images.len(), pictures.len());
    answer.images = images;
    if texts {
        let first = view.turn(view.items.len(), now);
        for item in view.items[first..].iter().chain(&view.items[..first]) {
            let json = item_json(item);
            let names = 2 * 16 + item.category.len() + item.subcategory.len() + 2;
            let costs = 16 + cost(&json) + names;
            if used + costs > BUDGET {
                continue;
            }
            used += costs;
            put(&mut answer.content, item, json);
        }
    }
    answer
}

/// The pictures of a board's screen.
pub fn sequence(view: &View, id: &str, offset: Option<usize>, now: i64) -> ImagesSequence {
    let mut answer = empty_sequence(id);
    for item in &view.items {
        if !answer.content_categories.contains(&item.category) {
            answer.content_categories.push(item.category.clone());
        }
    }
    answer.total_images = view.pictures.len();
    answer.message = match view.pictures.len() {
        0 => "No pictures".to_owned(),
        1 => "1 picture".to_owned(),
        many => format!("{many} pictures"),
    };
    let (from, pictures) = in_turn(view, offset, now);
    let frame = cost(&serde_json::to_value(&answer).unwrap_or_default()) + 60;
    let (images, _) = take(&pictures, frame, BUDGET, |image| SequenceImage {
        id: image.id.clone(),
        filename: image.name.clone(),
        url: bmp_url(image),
        bmp_url: bmp_url(image),
        file_size: BMP_BYTES,
    });
    answer.next_offset = next(offset, from, images.len(), pictures.len());
    answer.assigned_images = images;
    answer
}

/// Where to go on. A list that begins with whose turn it is does not go on: the next poll begins elsewhere.
fn next(offset: Option<usize>, from: usize, taken: usize, left: usize) -> Option<usize> {
    match offset {
        Some(_) => (taken < left).then_some(from + taken),
        None => (taken < left).then_some(0),
    }
}

fn item_json(item: &Item) -> Value {
    let mut json = Map::new();
    if let Some(title) = &item.title {
        json.insert("title".to_owned(), title.as_str().into());
    }
    match &item.answer {
        Some(answer) => {
            json.insert("question".to_owned(), item.text.as_str().into());
            json.insert("answer".to_owned(), answer.as_str().into());
        }
        None => {
            json.insert("content".to_owned(), item.text.as_str().into());
        }
    }
    if let Some(priority) = item.priority {
        json.insert("priority".to_owned(), priority.into());
    }
    Value::Object(json)
}

fn put(content: &mut Map<String, Value>, item: &Item, json: Value) {
    let category = content
        .entry(item.category.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(category) = category else {
        return;
    };
    let list = category
        .entry(item.subcategory.clone())
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        list.push(json);
    }
}

/// What a document costs on a board: 16 bytes per value, and every different text.
pub fn cost(value: &Value) -> usize {
    let mut names = HashSet::new();
    collect_names(value, &mut names);
    values_cost(value) + names.iter().map(|name| name.len() + 1).sum::<usize>()
}

fn values_cost(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(list) => list.iter().map(|one| 16 + values_cost(one)).sum(),
        Value::Object(map) => map.values().map(|one| 16 + values_cost(one)).sum(),
        _ => 0,
    }
}

fn collect_names<'a>(value: &'a Value, names: &mut HashSet<&'a str>) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| collect_names(one, names)),
        Value::Object(map) => {
            for (name, one) in map {
                names.insert(name);
                collect_names(one, names);
            }
        }
        _ => {}
    }
}
