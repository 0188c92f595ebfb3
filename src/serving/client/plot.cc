#include "serving/client/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "serving/client/glyphs.h"

namespace tepal::client {
namespace {

constexpr Colour kInk{60, 60, 60};
constexpr Colour kGrid{225, 225, 225};
constexpr int kLeft = 70, kRight = 20, kTop = 30, kBottom = 34;

class Canvas {
 public:
  Canvas(int width, int height) : image_{width, height, {}} {
    image_.pixels.assign(static_cast<size_t>(width) * static_cast<size_t>(height) * 3, 255);
  }

  void Dot(int x, int y, Colour colour) {
    if (x < 0 || y < 0 || x >= image_.width || y >= image_.height) return;
    const size_t at =
        (static_cast<size_t>(y) * static_cast<size_t>(image_.width) + static_cast<size_t>(x)) * 3;
    std::copy(colour.begin(), colour.end(),
              image_.pixels.begin() + static_cast<std::ptrdiff_t>(at));
  }

  // Two pixels thick.
  void Line(double x0, double y0, double x1, double y1, Colour colour) {
    const int steps = std::max(1, static_cast<int>(std::max(std::abs(x1 - x0), std::abs(y1 - y0))));
    for (int i = 0; i <= steps; ++i) {
      const double part = static_cast<double>(i) / steps;
      const int x = static_cast<int>(std::lround(x0 + (x1 - x0) * part));
      const int y = static_cast<int>(std::lround(y0 + (y1 - y0) * part));
      Dot(x, y, colour);
      Dot(x, y + 1, colour);
    }
  }

  void Rule(int x0, int y0, int x1, int y1, Colour colour) {
    for (int x = x0; x <= x1; ++x) {
      for (int y = y0; y <= y1; ++y) Dot(x, y, colour);
    }
  }

  void Text(int x, int y, std::string_view text, Colour colour) {
    for (const char c : text) {
      for (const Glyph& glyph : kGlyphs) {
        if (glyph.character == c) Draw(x, y, glyph, colour);
      }
      x += kAdvance;
    }
  }

  static int TextWidth(std::string_view text) { return static_cast<int>(text.size()) * kAdvance; }

  image::Image Take() { return std::move(image_); }

 private:
  static constexpr int kAdvance = 7;

  void Draw(int x, int y, const Glyph& glyph, Colour colour) {
    for (int row = 0; row < 7; ++row) {
      for (int column = 0; column < 5; ++column) {
        if ((glyph.rows[static_cast<size_t>(row)] >> (4 - column) & 1) != 0) {
          Dot(x + column, y + row, colour);
        }
      }
    }
  }

  image::Image image_;
};

// 1, 2 or 5 times a power of ten, so that about `count` of them cover `range`.
double TickStep(double range, int count) {
  const double raw = std::max(range, 1e-9) / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

std::string TickText(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

struct Frame {
  int left, top, right, bottom;
  double x_min, x_max, y_max;

  double X(double value) const {
    return left + (value - x_min) / std::max(x_max - x_min, 1e-9) * (right - left);
  }
  double Y(double value) const { return bottom - value / y_max * (bottom - top); }
};

double Highest(const PlotPanel& panel) {
  double highest = 0;
  for (const PlotSeries& series : panel.series) {
    for (const double value : series.values) {
      if (std::isfinite(value)) highest = std::max(highest, value);
    }
  }
  return highest > 0 ? highest : 1;
}

void DrawAxes(Canvas& canvas, const Frame& frame) {
  const double y_step = TickStep(frame.y_max, 5);
  for (double value = 0; value <= frame.y_max * 1.0001; value += y_step) {
    const int y = static_cast<int>(frame.Y(value));
    canvas.Rule(frame.left, y, frame.right, y, kGrid);
    const std::string text = TickText(value);
    canvas.Text(frame.left - 8 - Canvas::TextWidth(text), y - 3, text, kInk);
  }
  const double x_step = TickStep(frame.x_max - frame.x_min, 10);
  for (double value = std::ceil(frame.x_min / x_step) * x_step; value <= frame.x_max * 1.0001;
       value += x_step) {
    const int x = static_cast<int>(frame.X(value));
    canvas.Rule(x, frame.bottom, x, frame.bottom + 4, kInk);
    const std::string text = TickText(value);
    canvas.Text(x - Canvas::TextWidth(text) / 2, frame.bottom + 8, text, kInk);
  }
  canvas.Rule(frame.left, frame.top, frame.left, frame.bottom, kInk);
  canvas.Rule(frame.left, frame.bottom, frame.right, frame.bottom, kInk);
}

void DrawSeries(Canvas& canvas, const Frame& frame, const std::vector<double>& x,
                const PlotSeries& series) {
  for (size_t i = 1; i < std::min(x.size(), series.values.size()); ++i) {
    const double from = series.values[i - 1], to = series.values[i];
    if (!std::isfinite(from) || !std::isfinite(to)) continue;
    canvas.Line(frame.X(x[i - 1]), frame.Y(from), frame.X(x[i]), frame.Y(to), series.colour);
  }
}

void DrawPanel(Canvas& canvas, const Plot& plot, const PlotPanel& panel, const Frame& frame) {
  DrawAxes(canvas, frame);
  canvas.Text(frame.left, frame.top - 16, panel.title, kInk);
  int x = frame.left + Canvas::TextWidth(panel.title) + 24;
  for (const PlotSeries& series : panel.series) {
    DrawSeries(canvas, frame, plot.x, series);
    canvas.Rule(x, frame.top - 14, x + 16, frame.top - 12, series.colour);
    canvas.Text(x + 22, frame.top - 16, series.name, kInk);
    x += 40 + Canvas::TextWidth(series.name);
  }
}

}  // namespace

image::Image Draw(const Plot& plot, int width, int panel_height) {
  const int panels = std::max<int>(1, static_cast<int>(plot.panels.size()));
  Canvas canvas(width, panels * panel_height + 16);
  for (int i = 0; i < static_cast<int>(plot.panels.size()); ++i) {
    const PlotPanel& panel = plot.panels[static_cast<size_t>(i)];
    const int top = i * panel_height;
    Frame frame{kLeft, top + kTop, width - kRight,       top + panel_height - kBottom,
                0,     1,          Highest(panel) * 1.05};
    if (!plot.x.empty()) {
      frame.x_min = plot.x.front();
      frame.x_max = std::max(plot.x.back(), plot.x.front() + 1e-9);
    }
    DrawPanel(canvas, plot, panel, frame);
  }
  canvas.Text((width - Canvas::TextWidth(plot.x_title)) / 2, panels * panel_height + 2,
              plot.x_title, kInk);
  return canvas.Take();
}

}  // namespace tepal::client
