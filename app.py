"""Opens the page."""

from space.service.page.page import open_page

if __name__ == "__main__":
    open_page()
