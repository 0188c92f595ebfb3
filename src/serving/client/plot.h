// A small line chart as an image: panels one below the other over one time axis.
//
// Draws what a benchmark has to show and no more: axes with round ticks, lines, a legend in a 5 x 7
// pixel face of our own. Pure.

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serving/image/image.h"

namespace tepal::client {

using Colour = std::array<uint8_t, 3>;

inline constexpr Colour kBlue{31, 119, 180};
inline constexpr Colour kOrange{255, 127, 14};
inline constexpr Colour kGreen{44, 160, 44};
inline constexpr Colour kRed{214, 39, 40};

struct PlotSeries {
  std::string name;  // Lower-case letters, digits and . / % - are drawn.
  Colour colour = kBlue;
  std::vector<double> values;  // One for each x; NaN leaves a gap.
};

struct PlotPanel {
  std::string title;  // With the unit.
  std::vector<PlotSeries> series;
};

struct Plot {
  std::string x_title;
  std::vector<double> x;  // Ascending.
  std::vector<PlotPanel> panels;
};

image::Image Draw(const Plot& plot, int width = 960, int panel_height = 260);

}  // namespace tepal::client
