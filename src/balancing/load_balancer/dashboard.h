// The dashboard's page, built into the program from web/dashboard.html.

#pragma once

#include <string_view>

namespace tepal::lb {

std::string_view DashboardPage();

}  // namespace tepal::lb
