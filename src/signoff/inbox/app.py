"""The script that Streamlit runs, once for every change on a reviewer's screen."""

import streamlit as st

from signoff.inbox.page import draw

draw(st.secrets["signoff_url"], st.context.cookies.get("signoff_session"))
