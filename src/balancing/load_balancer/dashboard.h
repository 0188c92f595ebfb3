// The dashboard's files, built into the program from web/.

#pragma once

#include <string_view>

namespace tepal::lb {

// What is served at "/dashboard.html", "/dashboard.css", …; null for any other path.
const std::string_view* FindDashboardFile(std::string_view path);

}  // namespace tepal::lb
