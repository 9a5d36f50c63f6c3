-- One row to predict each: its id, when the prediction is made, what is known then, and what came true.
select order_id, ordered_at, customer, amount, items, returned
from orders
