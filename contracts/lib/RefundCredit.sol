// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {IRefundCredit} from "./IRefundCredit.sol";

/// @title Returns excess payments, or keeps them as credit
/// @notice The balance of the inheriting contract is the sum of all credits, unless it holds money of its own.
abstract contract RefundCredit is IRefundCredit {
    /// @custom:storage-location erc7201:perigee.storage.RefundCredit
    struct RefundCreditStorage {
        mapping(address account => uint256 amount) credits;
    }

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.RefundCredit"));

    /// @inheritdoc IRefundCredit
    function withdrawCredit(address payable to) external returns (uint256 amount) {
        RefundCreditStorage storage $ = _refundCreditStorage();
        amount = $.credits[msg.sender];
        require(amount != 0, NoCredit(msg.sender));
        delete $.credits[msg.sender];
        emit CreditWithdrawn(msg.sender, to, amount);
        require(LowLevelCall.callNoReturn(to, amount, ""), WithdrawalRejected(to, amount));
    }

    /// @inheritdoc IRefundCredit
    function credits(address account) external view returns (uint256) {
        return _refundCreditStorage().credits[account];
    }

    /// @dev To be the last thing an entry does: it hands control to `account`. Never reverts because of it, and ignores
    /// what it returns.
    function _refund(address account, uint256 amount) internal {
        if (amount == 0 || LowLevelCall.callNoReturn(account, amount, "")) return;
        _refundCreditStorage().credits[account] += amount;
        emit RefundCredited(account, amount);
    }

    function _refundCreditStorage() private pure returns (RefundCreditStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
