"""Raw transactions in; customer values, segments and exact audiences out."""
