//! What a PDF document says, in this very process.

use std::time::Instant;

use bailiwick_html::decode;
use bailiwick_model::limits::{KNOWLEDGE_PDF_PAGES, KNOWLEDGE_PDF_TIME};
use hayro_interpret::font::{Glyph, GlyphRun, PositionedGlyph};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::hayro_syntax::{LoadPdfError, Pdf};
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps,
    InterpreterCache, InterpreterSettings, SoftMask, interpret_page,
};

use super::layout::{Layout, Place};
use super::{PdfError, PdfText};

/// Parts of the size of a font in which fonts are measured (ISO 32000-2, section 9.2.4).
const EM: f64 = 1000.0;
/// How wide a character is whose font does not say it.
const USUAL_WIDTH: f32 = 500.0;

/// Reads a document. It may panic, run out of its stack or never end: see [`super::ReadPdf`] for where it should run.
///
/// # Errors
///
/// See [`PdfError`]. After each page it looks how long it took.
pub fn read_pdf(bytes: &[u8]) -> Result<PdfText, PdfError> {
    let began = Instant::now();
    let pdf = Pdf::new(bytes.to_owned()).map_err(|error| match error {
        LoadPdfError::Decryption(_) => PdfError::Encrypted,
        LoadPdfError::Invalid => PdfError::Malformed,
    })?;
    let cache = InterpreterCache::new();
    let mut words = Words::default();
    for page in pdf.pages().iter().take(KNOWLEDGE_PDF_PAGES) {
        let everywhere = Rect::new(-1e6, -1e6, 1e6, 1e6);
        let settings = InterpreterSettings::default();
        let mut context = Context::new(Affine::IDENTITY, everywhere, &cache, pdf.xref(), settings);
        interpret_page(page, &mut context, &mut words);
        words.layout.end_page();
        if words.layout.is_over() {
            return Err(PdfError::TooMuchText);
        }
        if began.elapsed() > KNOWLEDGE_PDF_TIME {
            return Err(PdfError::Timeout);
        }
    }
    let text = words.layout.done();
    if pdf.pages().is_empty() {
        return Err(PdfError::Malformed);
    }
    if text.trim().is_empty() {
        return Err(PdfError::NoText);
    }
    let title = pdf.metadata().title.as_deref();
    let title = title.map(|title| decode(None, title).trim().to_owned());
    Ok(PdfText {
        title: title.filter(|title| !title.is_empty()),
        text,
    })
}

/// Draws nothing, and takes note of characters.
#[derive(Default)]
struct Words {
    layout: Layout,
    /// Where the last run of characters that was filled begins: its outline is often drawn over it.
    filled: Option<Point>,
}

impl Words {
    fn character(&mut self, glyph: &PositionedGlyph<'_>, page: Affine) {
        let Some(characters) = glyph.as_unicode() else {
            return;
        };
        let place = place(page * glyph.transform(), advance(glyph));
        match characters {
            BfString::Char(character) => {
                self.layout.draw(character.encode_utf8(&mut [0; 4]), place);
            }
            BfString::String(characters) => self.layout.draw(&characters, place),
        }
    }
}

fn advance(glyph: &Glyph<'_>) -> f64 {
    let width = match glyph {
        Glyph::Outline(outline) => outline.advance_width(),
        Glyph::Type3(_) => None,
    };
    f64::from(width.unwrap_or(USUAL_WIDTH))
}

/// Along the direction in which the text runs, whatever that is on the page, and across.
fn place(transform: Affine, advance: f64) -> Place {
    let origin = transform * Point::ORIGIN;
    let along = transform * Point::new(EM, 0.0) - origin;
    let size = (transform * Point::new(0.0, EM) - origin).hypot();
    let direction = along / along.hypot();
    let across = Vec2::new(-direction.y, direction.x);
    let x = origin.to_vec2().dot(direction);
    Place {
        x,
        y: origin.to_vec2().dot(across),
        end: x + along.hypot() * advance / EM,
        size,
    }
}

impl<'a> Device<'a> for Words {
    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}

    fn push_clip_path(&mut self, _: &ClipPath) {}

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        let Some(first) = run.glyphs().first() else {
            return;
        };
        let begin = props.transform * first.transform() * Point::ORIGIN;
        match mode {
            DrawMode::Stroke(_) if self.filled == Some(begin) => return,
            DrawMode::Stroke(_)
            | DrawMode::Fill(_)
            | DrawMode::FillAndStroke(..)
            | DrawMode::Invisible => {}
        }
        self.filled = Some(begin);
        for glyph in run.glyphs() {
            self.character(glyph, props.transform);
        }
    }

    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}
